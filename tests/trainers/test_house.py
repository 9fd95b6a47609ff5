"""The house model starts out able to copy, loads as a stock Llama, and learns from rows."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

from omar_envs import werewolf_v0
from omar_envs.arena import compare
from omar_envs.policy import RandomPolicy
from omar_envs.werewolf.names import DEFAULT_NAMES
from omar_envs.werewolf.rules import team_of
from omar_trainers.house import house_directory
from omar_trainers.house.build import (
    DEMO_GAME,
    MAX_CONTEXT,
    BuildSettings,
    build,
    house_policy,
    house_words,
    scripted_rows,
)
from omar_trainers.house.model import PREVIOUS_TOKEN_DISTANCES, house_config, new_house_model
from omar_trainers.house.tokenizer import house_tokenizer
from omar_trainers.model_policy import ModelPolicy
from omar_trainers.rows import TokenRow
from omar_trainers.sft import sft_rows
from omar_trainers.tokens import ChatTokenizer

SMALL = BuildSettings(games=40, epochs=1.0, hidden_size=32, check_games=4)
TOKENIZER = house_tokenizer(house_words(), max_context=MAX_CONTEXT)
TOKENS = ChatTokenizer(TOKENIZER)


def small_model(seed: int = 0) -> LlamaForCausalLM:
    config = house_config(
        len(TOKENIZER),
        pad_token_id=TOKENS.pad_token_id,
        end_token_id=TOKENS.end_token_id,
        hidden_size=32,
    )
    return new_house_model(config, seed=seed)


def train(model: LlamaForCausalLM, rows: list[TokenRow], lr: float = 3e-3, steps: int = 1) -> float:
    return sft_rows(
        model,
        rows,
        pad_token_id=TOKENS.pad_token_id,
        lr=lr,
        batch_size=len(rows),
        seed=0,
        steps=steps,
    ).loss


def test_first_heads_look_at_the_previous_tokens() -> None:
    model = small_model()
    model.set_attn_implementation("eager")
    ids = torch.randint(len(TOKENIZER), (3, 80), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        attention = model(input_ids=ids, output_attentions=True).attentions[0]  # (B, H, T, T)
    for head, distance in enumerate(PREVIOUS_TOKEN_DISTANCES):
        for position in range(distance, 80):
            there = attention[:, head, position]
            assert (there.argmax(-1) == position - distance).all()
            assert (there[:, position - distance] > 0.5).all()


def test_other_heads_copy_what_they_read() -> None:
    """Writing what is read raises the read word's own logit above a random word's."""
    model = small_model()
    attention = model.model.layers[1].self_attn
    words = model.get_input_embeddings().weight  # (V, d)
    with torch.inference_mode():
        read = words @ attention.v_proj.weight.T
        for head in range(4):
            group = read[:, head // 2 * 32 : (head // 2 + 1) * 32]
            written = group @ attention.o_proj.weight[:, head * 32 : (head + 1) * 32].T
            logits = written @ words.T
            assert (logits.argmax(-1) == torch.arange(len(words))).float().mean() > 0.9


def test_initial_weights_come_from_the_seed_alone() -> None:
    state = torch.random.get_rng_state()
    first, again, other = (small_model(seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_the_words_are_few_and_hold_the_names() -> None:
    words = house_words()
    assert len(words) < 200
    assert {*DEFAULT_NAMES, "abstain", "suspect", "werewolf", "village"} <= words


@pytest.mark.parametrize(
    "settings",
    [DEMO_GAME, {"prompt_style": "terse"}, {"num_players": 10, "prompt_style": "terse"}],
)
def test_no_terse_game_of_scripted_bots_has_an_unknown_word(settings: dict[str, object]) -> None:
    rows = scripted_rows(TOKENS, 20, seed=77, settings=[settings])
    assert rows
    assert all(TOKENIZER.unk_token_id not in row.ids for row in rows)


def test_loss_is_that_of_the_own_tokens_only() -> None:
    model = small_model()
    rows = scripted_rows(TOKENS, 3, seed=5)
    total, count = 0.0, 0
    for row in rows:
        ids = torch.tensor([row.ids])
        own = torch.tensor(row.turn_index)[1:] >= 0
        with torch.inference_mode():
            logits = model(input_ids=ids).logits[0, :-1]
        total += float(cross_entropy(logits[own], ids[0, 1:][own], reduction="sum"))
        count += int(own.sum())
    before = model.state_dict()["model.norm.weight"].clone()
    assert train(model, rows, lr=0.0) == pytest.approx(total / count, rel=1e-4)
    assert torch.equal(model.state_dict()["model.norm.weight"], before)
    assert not model.training


def test_further_steps_go_on_from_where_the_model_stands() -> None:
    model = small_model()
    rows = scripted_rows(TOKENS, 6, seed=6)
    first = train(model, rows, steps=10)
    assert train(model, rows, lr=0.0) < first
    assert train(model, rows, steps=10) < first


@pytest.mark.parametrize("length", [{}, {"steps": 1, "epochs": 1.0}])
def test_length_of_training_is_given_once(length: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="either epochs or steps"):
        sft_rows(small_model(), [], pad_token_id=0, lr=1e-3, batch_size=1, seed=0, **length)


def test_rows_without_own_tokens_are_refused() -> None:
    row = TokenRow(0, "player_0")
    row.read([5, 6])
    with pytest.raises(ValueError, match="nothing to learn"):
        train(small_model(), [row])


def test_build_is_reproducible_and_loads_anywhere(tmp_path: Path) -> None:
    first, again = build(4, SMALL), build(4, SMALL)
    weights = again.model.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in first.model.named_parameters())
    assert 0.0 <= first.invalid_acts <= 1.0
    first.save(tmp_path)
    model = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert type(model) is LlamaForCausalLM
    assert all(torch.equal(value, weights[name]) for name, value in model.named_parameters())
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert tokenizer.get_vocab() == first.tokenizer.get_vocab()
    assert ChatTokenizer(tokenizer).decode(tokenizer.encode("I am good")) == "I am good"
    game = json.loads((tmp_path / "game.json").read_text())
    assert game["env"] == "werewolf_v0"
    werewolf_v0.raw_env(**game["config"])


def test_a_house_model_can_go_on_with_longer_games(tmp_path: Path) -> None:
    """It keeps its size and words, begins where its base is, and learns all games it is shown."""
    small_model().save_pretrained(tmp_path)
    TOKENIZER.save_pretrained(tmp_path)
    longer = DEMO_GAME | {"discussion_rounds": 12}
    unlearned = BuildSettings(games=2, epochs=1.0, lr=1e-12, check_games=2)
    house = build(0, unlearned, game=longer, base=tmp_path, max_context=2 * MAX_CONTEXT)
    weights = small_model().state_dict()
    for name, value in house.model.named_parameters():
        torch.testing.assert_close(value, weights[name])
    assert house.model.config.max_position_embeddings == 2 * MAX_CONTEXT
    assert house.tokenizer.get_vocab() == TOKENIZER.get_vocab()
    assert house.game == longer
    taught = build(0, unlearned, game=longer, lessons=[DEMO_GAME], base=tmp_path)
    assert taught.training.loss != house.training.loss
    house.save(tmp_path / "saved")
    assert json.loads((tmp_path / "saved" / "game.json").read_text())["config"] == longer
    assert AutoTokenizer.from_pretrained(tmp_path / "saved").model_max_length == 2 * MAX_CONTEXT


def shipped(seed: int, *, constrain_choices: bool = True) -> ModelPolicy:
    return ModelPolicy.from_pretrained(
        house_directory(),
        seed=seed,
        max_new_tokens_speak=8,
        constrain_choices=constrain_choices,
        name="house",
    )


def demo_game() -> object:
    return werewolf_v0.raw_env(**DEMO_GAME)


def test_shipped_model_is_the_one_that_build_makes() -> None:
    told = json.loads((house_directory() / "build.json").read_text())
    assert {name: told[name] for name in asdict(BuildSettings())} == asdict(BuildSettings())
    tokenizer = AutoTokenizer.from_pretrained(house_directory())
    assert tokenizer.get_vocab() == TOKENIZER.get_vocab()
    config = AutoConfig.from_pretrained(house_directory())
    expected = house_config(
        len(TOKENIZER),
        pad_token_id=TOKENS.pad_token_id,
        end_token_id=TOKENS.end_token_id,
        hidden_size=told["hidden_size"],
        num_layers=told["num_layers"],
    )
    for name in ("hidden_size", "num_hidden_layers", "num_key_value_heads", "vocab_size"):
        assert config.to_dict()[name] == expected.to_dict()[name]
    game = json.loads((house_directory() / "game.json").read_text())
    made = werewolf_v0.raw_env(**game["config"])
    assert made.config == werewolf_v0.raw_env(**DEMO_GAME).config


def test_shipped_model_is_no_straw_man() -> None:
    result = compare(
        demo_game, shipped(1), RandomPolicy(2), team_of=team_of, games=400, seed=5, control=False
    )
    assert result.a.invalid_acts < 0.02 * result.a.acts
    for team, rate in result.a.by_team.items():
        assert rate.low > result.b.by_team[team].high, team


def test_house_policy_stays_within_its_words() -> None:
    policy = house_policy(small_model(), TOKENS, seed=0)
    assert policy.name == "house"
