"""Conversations as Dict, Box and Discrete: PettingZoo's own checks, and what learners rely on."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete
from hypothesis import given, settings
from hypothesis import strategies as st
from pettingzoo.test import api_test, parallel_api_test, parallel_seed_test, seed_test

from omar_envs import rollout, sotopia_v0, werewolf_v0
from omar_envs.errors import ConfigError, PolicyError
from omar_envs.policy import ScriptedPolicy
from omar_envs.sotopia.library import scenarios
from omar_envs.sotopia.mechanisms import Price
from omar_envs.werewolf.claims import read_speech
from omar_envs.wrappers.discrete_policy import DiscretePolicy, uniform
from omar_envs.wrappers.discretize import DiscreteAECEnv, Discretizer, discretize

WEREWOLF: list[dict[str, Any]] = [
    {},
    {"num_players": 3, "prompt_style": "terse", "max_days": 2},
    {"preset": "arena8", "max_days": 2},
    {"num_players": 6, "discussion": "bidding", "allow_abstain": False, "max_days": 2},
    {"num_players": 7, "roles": {"werewolf": 1, "witch": 1, "hunter": 1, "jester": 1}},
]
SOTOPIA: list[dict[str, Any]] = [
    {"scenario": "a_cello_changes_hands", "max_turns": 5},
    {"scenario": "the_harbour_grant", "order": "round_robin", "max_turns": 6},
    {"num_agents": 3, "scenario": ["where_to_dig_the_well", "inspecting_the_riding_school"]},
]
GAMES = [(werewolf_v0, config) for config in WEREWOLF] + [
    (sotopia_v0, config) for config in SOTOPIA
]
OPTIONS: list[dict[str, Any]] = [
    {"key": "observations", "dtype": "float32", "legend": True},
    {"flat": True, "length": 33},
]
each_game = pytest.mark.parametrize(("game", "config"), GAMES, ids=range(len(GAMES)))


@pytest.fixture(autouse=True)
def _known_warnings() -> Iterator[None]:
    """PettingZoo takes arrays for granted, and knows masks only in part."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Observation is not a NumPy array")
        warnings.filterwarnings("ignore", "Observation space for each agent probably should be")
        yield


def walk(env: DiscreteAECEnv, seed: int, act: Callable[[np.ndarray], int]) -> Iterator[str]:
    """Play one game, ``act`` choosing by the mask; yields who is to move, before it moves."""
    env.reset(seed=seed)
    for agent in env.agent_iter():
        observation, _, terminated, truncated, _ = env.last()
        yield agent
        over = terminated or truncated
        env.step(None if over else act(observation["action_mask"]))


def picker(seed: int) -> Callable[[np.ndarray], int]:
    rng = np.random.default_rng(seed)
    return lambda mask: int(rng.choice(np.flatnonzero(mask)))


@pytest.mark.parametrize(
    ("game", "config", "options"),
    [(*each, {}) for each in GAMES]
    + [(*each, options) for each in (GAMES[1], GAMES[5]) for options in OPTIONS],
)
def test_pettingzoo_finds_nothing_wrong(
    game: Any, config: dict[str, Any], options: dict[str, Any]
) -> None:
    api_test(discretize(game.env(**config), **options), num_cycles=40)
    parallel_api_test(discretize(game.parallel_env(**config), **options), num_cycles=20)


@pytest.mark.parametrize(("game", "config"), [GAMES[1], GAMES[5]], ids=range(2))
def test_equal_seeds_give_equal_games(game: Any, config: dict[str, Any]) -> None:
    seed_test(lambda: discretize(game.env(**config)), num_cycles=40)
    parallel_seed_test(lambda: discretize(game.parallel_env(**config)), num_cycles=40)


@each_game
def test_the_spaces_are_those_of_the_contract_and_the_same_for_all(
    game: Any, config: dict[str, Any]
) -> None:
    env = discretize(game.env(**config), length=50)
    size = len(env.discretizer.menu.labels)
    space = Dict(
        {
            "observation": Box(0, 256, (50,), np.int32),
            "action_mask": Box(0, 1, (size,), np.int8),
        }
    )
    for agent in env.possible_agents:
        assert env.observation_space(agent) == space
        assert env.action_space(agent) == Discrete(size)
    assert len(set(env.discretizer.menu.labels)) == size
    assert discretize(game.parallel_env(**config), length=50).observation_space(agent) == space


@each_game
def test_what_the_mask_allows_is_never_invalid(game: Any, config: dict[str, Any]) -> None:
    for seed in range(2):
        env = discretize(game.env(**config))
        for agent in walk(env, seed, picker(seed)):
            assert env.unwrapped.over or env.infos[agent]["invalid_actions"] == 0
        assert all(turn.valid for turn in env.unwrapped.episode().turns)


@pytest.mark.parametrize("profile", scenarios(), ids=lambda profile: profile.pk)
def test_every_scenario_has_a_menu_of_legal_acts(profile: Any) -> None:
    reward = "outcome" if profile.outcome is not None else "none"
    env = discretize(sotopia_v0.env(profile, reward=reward, max_turns=3))
    stay = picker(3)
    for _ in walk(env, 1, lambda mask: stay(np.where(np.arange(len(mask)) == 1, 0, mask))):
        pass
    assert all(turn.valid for turn in env.unwrapped.episode().turns)


@each_game
def test_all_may_be_observed_at_any_time_without_effect(game: Any, config: dict[str, Any]) -> None:
    env = discretize(game.env(**config))
    for mover in walk(env, 5, picker(5)):
        acting = env.unwrapped.acting
        once = {agent: env.observe(agent) for agent in env.possible_agents}
        for agent, seen in once.items():
            again = env.observe(agent)
            assert all((again[key] == seen[key]).all() for key in seen)
            assert seen in env.observation_space(agent)
            legal = np.flatnonzero(seen["action_mask"])
            # Who is not to move can only pass, which no learner's softmax trips over.
            assert len(legal) if agent in acting else legal.tolist() == [0]
        assert mover == env.agent_selection


@each_game
def test_rewards_reach_the_dead_and_ends_are_not_mixed(game: Any, config: dict[str, Any]) -> None:
    for seed in range(2):
        env = discretize(game.parallel_env(**config))
        seen, _ = env.reset(seed=seed)
        act, totals = picker(seed), dict.fromkeys(env.possible_agents, 0.0)
        while env.agents:
            acts = {agent: act(each["action_mask"]) for agent, each in seen.items()}
            seen, rewards, terminations, truncations, infos = env.step(acts)
            assert set(seen) == set(rewards) == set(infos) == set(env.possible_agents)
            for agent, reward in rewards.items():
                totals[agent] += reward
        assert len(set(terminations.values())) == len(set(truncations.values())) == 1
        assert terminations != truncations
        episode = env.conversation.episode()
        assert totals == pytest.approx({a: episode.total_reward(a) for a in totals})


@given(
    acts=st.lists(
        st.one_of(st.integers(-3, 200), st.none(), st.floats(), st.text(max_size=3)), max_size=40
    ),
    seed=st.integers(0, 5),
)
@settings(max_examples=25, deadline=None)
def test_no_act_crashes_and_an_illegal_one_counts(acts: list[Any], seed: int) -> None:
    env = discretize(werewolf_v0.parallel_env(num_players=3, prompt_style="terse"))
    env.reset(seed=seed)
    for act in acts:
        if not env.agents:
            break
        before = len(env.conversation._acts)
        legal = {
            agent: type(act) is int
            and act in np.flatnonzero(env.discretizer.mask(env.conversation.view(agent)))
            for agent in env.acting
        }
        env.step(dict.fromkeys(env.possible_agents, act))
        for turn in env.conversation._acts[before:]:
            assert turn.valid == legal[turn.agent]


@given(st.text(max_size=60), st.integers(1, 40))
def test_tokens_are_the_last_bytes_after_padding(text: str, length: int) -> None:
    from omar_envs.wrappers.discrete_tokens import TextTokens

    row = TextTokens(length).encode(text)
    raw = text.encode("utf-8", "replace")[-length:]
    assert row.shape == (length,) and row.dtype == np.int32
    assert row[length - len(raw) :].tolist() == [byte + 1 for byte in raw]
    assert not row[: length - len(raw)].any()


class Words:
    """A tokenizer of the form that `transformers` has: ids of the words it knows."""

    known = ("talk", "vote", "night")

    def __len__(self) -> int:
        return 4

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        assert not add_special_tokens
        return [self.known.index(word) if word in self.known else 3 for word in text.split()]


def test_a_tokenizer_of_ones_own() -> None:
    env = discretize(werewolf_v0.env(prompt_style="terse"), tokenizer=Words(), length=20)
    env.reset(seed=1)
    space = env.observation_space("player_0")
    seen = env.observe(env.agent_selection)
    assert space["observation"] == Box(0, 4, (20,), np.int32)
    text = env.unwrapped.observe(env.agent_selection)["text"]
    expected = [word + 1 for word in Words().encode(text, add_special_tokens=False)][-20:]
    assert seen["observation"].tolist() == [0] * (20 - len(expected)) + expected


def test_the_legend_says_who_sits_where() -> None:
    env = discretize(werewolf_v0.env(num_players=3), legend=True, length=60)
    env.reset(seed=4)
    names = env.unwrapped.view("player_1").names
    tail = bytes((env.observe("player_1")["observation"] - 1).astype(np.uint8)).decode()
    assert tail.endswith(
        f"player_1 {names['player_1']}; player_2 {names['player_2']}; you player_1]"
    )


def act_named(env: DiscreteAECEnv, label: str) -> int:
    return env.discretizer.menu.labels.index(label)


@pytest.mark.parametrize("style", ["plain", "terse"])
def test_what_is_said_is_what_bots_and_probes_read(style: str) -> None:
    env = discretize(
        werewolf_v0.env(
            num_players=5, first_phase="day", discussion="round_robin", prompt_style=style
        )
    )
    env.reset(seed=2)
    names = env.unwrapped.view("player_0").names
    players = tuple(names.values())
    for label, claims, found in [
        ("claim seer", True, ()),
        ("accuse player_4", False, ((names["player_4"], True),)),
        ("report good player_4", True, ((names["player_4"], False),)),
        ("agree", False, ((names["player_4"], False),)),
    ]:
        agent = env.agent_selection
        env.step(act_named(env, label))
        turn = env.unwrapped._acts[-1]
        said = read_speech(names[agent], turn.text, players)
        about = tuple((each.target, each.wolf) for each in (*said.findings, *said.suspicions))
        assert (turn.valid, said.claims_seer, about) == (True, claims, found)


def test_targets_are_named_by_seat() -> None:
    env = discretize(werewolf_v0.env(num_players=5, first_phase="day", discussion_rounds=0))
    env.reset(seed=3)
    names = env.unwrapped.view("player_0").names
    env.step(act_named(env, "target player_4"))
    assert env.unwrapped._acts[-1].text == names["player_4"]
    env.step(act_named(env, "pass"))
    assert env.unwrapped._acts[-1].text == "abstain"


def test_a_price_is_proposed_and_accepted() -> None:
    env = discretize(sotopia_v0.env("a_cello_changes_hands", order="round_robin"))
    env.reset(seed=1)
    outcome = env.unwrapped.scenario.outcome
    assert isinstance(outcome, Price)
    assert env.observe("agent_0")["action_mask"][act_named(env, "accept agent_1")] == 0
    env.step(act_named(env, "close 19"))
    assert env.observe("agent_1")["action_mask"][act_named(env, "accept agent_0")] == 1
    env.step(act_named(env, "accept agent_0"))
    told = env.unwrapped.episode().outcome
    assert (told["settled"], told["deal"]) == (True, {"price": outcome.list_price})


def test_higher_aspirations_propose_what_is_worth_more() -> None:
    scores = []
    for level in (0, 10, 20):
        env = discretize(sotopia_v0.env("gear_for_three_valleys", order="round_robin"))
        env.reset(seed=1)
        env.step(act_named(env, f"close {level}"))
        act = json.loads(env.unwrapped._acts[-1].text)
        names = tuple(env.unwrapped.view("agent_0").names.values())
        deal = json.loads(act["argument"])
        scores.append(env.unwrapped.scenario.outcome.worth(deal, names).scores[0])
    assert scores[0] < scores[1] < scores[2] == 1.0


def test_a_learner_plays_seats_in_rollouts() -> None:
    config = {"num_players": 4, "prompt_style": "terse"}
    learner = DiscretePolicy(Discretizer(rollout.make("werewolf_v0", config)), uniform(1), "mine")
    episodes = rollout.run(
        lambda: rollout.make("werewolf_v0", config),
        ScriptedPolicy(0, brief=True),
        6,
        2,
        overrides={"player_1": learner},
    )
    for episode in episodes:
        assert episode.seats[1].policy == "mine"
        assert all(turn.valid for turn in episode.turns_of("player_1"))
    wrong = DiscretePolicy(Discretizer(rollout.make("werewolf_v0", config)), lambda seen, masks: [])
    with pytest.raises(PolicyError, match="chose 0 acts for"):
        rollout.play(rollout.make("werewolf_v0", config), wrong, 1)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"length": 0}, "length must be a positive integer"),
        ({"length": 2.5}, "length must be a positive integer"),
        ({"dtype": "int64"}, "dtype must be 'int32' or 'float32'"),
        ({"key": "action_mask"}, "key must be a name other than 'action_mask'"),
    ],
)
def test_impossible_options(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        discretize(werewolf_v0.env(), **options)
