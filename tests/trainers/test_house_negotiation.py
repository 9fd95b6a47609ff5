"""The model that negotiates: scenarios of its own, a tokenizer for the usual prompts."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from omar_envs.playing import play_games
from omar_envs.rollout import game_seed, make
from omar_envs.sotopia import importer
from omar_envs.sotopia.bots import NegotiatorPolicy
from omar_envs.sotopia.mechanisms.division import Division
from omar_envs.types import Episode
from omar_trainers import train
from omar_trainers.house.deal_scenarios import (
    DEAL_GAME,
    ITEMS,
    NAMES,
    TOTAL,
    deal_scenarios,
    split_scenarios,
)
from omar_trainers.house.negotiation import (
    TEST,
    TRAIN,
    BriefNegotiatorPolicy,
    BuildSettings,
    build,
    deal_env,
    negotiation_tokenizer,
    scripted_deals,
)
from omar_trainers.model_policy import ModelPolicy
from omar_trainers.tokens import ChatTokenizer

SCENARIOS = deal_scenarios(20, seed=1)
SMALL = BuildSettings(
    train_scenarios=12,
    test_scenarios=6,
    word_games=20,
    games=12,
    epochs=1.0,
    hidden_size=32,
    num_layers=1,
)


@pytest.fixture(scope="module")
def tokens() -> ChatTokenizer:
    return ChatTokenizer(negotiation_tokenizer(SCENARIOS, games=60))


def divisions(number: int, seed: int) -> list[Division]:
    return [
        each.outcome
        for each in deal_scenarios(number, seed).environments.values()
        if isinstance(each.outcome, Division)
    ]


def test_every_scenario_is_a_fair_and_new_one() -> None:
    deals = divisions(200, seed=0)
    assert len(deals) == 200
    assert len({str(deal) for deal in deals}) == 200
    for deal in deals:
        assert [deal.total(seat) for seat in (0, 1)] == [TOTAL, TOTAL]
        worth = [[values[item] for values in deal.values] for item in ITEMS]
        assert all(map(max, worth))
        assert any(map(min, worth))
        assert 5 <= sum(deal.items.values()) <= 7
    assert divisions(50, seed=0) == deals[:50]
    assert divisions(50, seed=1) != deals[:50]


def test_trained_and_tested_scenarios_are_others() -> None:
    train_on, test_on = split_scenarios(SCENARIOS, 15)
    assert (len(train_on.environments), len(test_on.environments)) == (15, 5)
    assert not train_on.environments.keys() & test_on.environments.keys()
    for scenarios in (train_on, test_on):
        deal_env(scenarios).reset(seed=0)


def test_no_word_of_scripted_play_is_unknown_and_rows_are_short(tokens: ChatTokenizer) -> None:
    rows = scripted_deals(tokens, SCENARIOS, 60, seed=9, noise=0.5)
    assert len(rows) == 120
    assert all(tokens.tokenizer.unk_token_id not in row.ids for row in rows)
    assert max(len(row.ids) for row in rows) < 256
    assert max(row.prompt_length for row in rows) < 60
    # The rules are a token or two, but a seat's own values are words.
    deal = r"each of the (\d) books : (\d+)|the books : (\d+)"
    assert all(re.search(deal, tokens.decode(row.ids[: row.prompt_length])) for row in rows)


def test_a_proposal_survives_its_tokens(tokens: ChatTokenizer) -> None:
    """What the model would write for a scripted proposal is the same deal."""
    env = deal_env(SCENARIOS)
    env.reset(seed=3)
    items = env.view("agent_0").facts["private"]["items"]
    share = json.dumps({item: items[item] // 2 for item in ITEMS}, separators=(",", ":"))
    env.step(tokens.decode(tokens.encode_reply(f"propose {share}")))
    standing = env.view("agent_1").facts["standing"]
    taken = {item: count // 2 for item, count in items.items() if count // 2}
    assert standing[NAMES[0]][NAMES[0]] == taken


def played(policy: object, games: int = 12) -> list[Episode]:
    envs = [deal_env(SCENARIOS) for _ in range(games)]
    return play_games(envs, [game_seed(0, i) for i in range(games)], lambda game, agent: policy)


def test_brief_negotiators_decide_as_the_others_do() -> None:
    brief, long = played(BriefNegotiatorPolicy(0)), played(NegotiatorPolicy(0))
    assert [game.outcome["deal"] for game in brief] == [game.outcome["deal"] for game in long]
    assert all(turn.valid for game in brief for turn in game.turns)
    assert not any("{" in t.reply and "propose" not in t.reply for g in brief for t in g.turns)
    noisy = played(BriefNegotiatorPolicy(0, noise=0.6))
    assert all(turn.valid for game in noisy for turn in game.turns)
    assert _mean_joint(noisy) < _mean_joint(brief)


def _mean_joint(games: list[Episode]) -> float:
    return sum(g.outcome["measures"]["joint_share"] * g.outcome["settled"] for g in games) / len(
        games
    )


def test_build_is_reproducible_and_the_recipe_plays_what_it_wrote(tmp_path: Path) -> None:
    first, again = build(2, SMALL), build(2, SMALL)
    weights = again.model.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in first.model.named_parameters())
    first.save(tmp_path)
    model = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert all(torch.equal(value, weights[name]) for name, value in model.named_parameters())
    assert AutoTokenizer.from_pretrained(tmp_path).get_vocab() == first.tokenizer.get_vocab()
    written = [importer.read(tmp_path / name) for name in (TRAIN, TEST)]
    assert [len(each.environments) for each in written] == [12, 6]
    told = json.loads((tmp_path / "build.json").read_text())
    assert told["games"] == SMALL.games
    assert told["parameters"] < 500_000
    game = json.loads((tmp_path / "game.json").read_text())
    make(game["env"], game["config"])

    config, _ = train.parse(["--recipe", "sotopia_house_deal", "--output_dir", str(tmp_path)])
    named = {name: config.env_kwargs[name] for name in DEAL_GAME}
    assert named == DEAL_GAME
    env = make(config.env_name, config.env_kwargs | {"scenario": str(tmp_path / TRAIN)})
    policy = ModelPolicy.from_pretrained(tmp_path, max_new_tokens_speak=config.max_new_tokens_speak)
    (episode,) = play_games([env], [1], lambda game, agent: policy)
    assert set(episode.outcome["scores"]) == {"agent_0", "agent_1"}
