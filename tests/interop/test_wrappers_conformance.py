"""Whatever a user hands to the wrappers: it works as it reads, or one line says what would."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import omar_envs  # noqa: F401  (registers the seats)
from omar_envs import sotopia_v0, werewolf_v0, wrappers
from omar_envs.errors import ConfigError
from omar_envs.integrations.libraries import check
from omar_envs.integrations.trl import environment_factory
from omar_envs.policy import Policy, RandomPolicy, ScriptedPolicy
from omar_envs.sotopia.library import scenarios
from omar_envs.types import Episode, View
from omar_envs.werewolf.presets import PRESETS
from omar_envs.wrappers.discretize import discretize

SEAT = "omar/werewolf-seat-v0"


class Named:
    """A policy that keeps silent, and says whom it was asked about."""

    def __init__(self, name: str = "named") -> None:
        self.name = name
        self.asked: list[str] = []

    def act(self, views: Sequence[View]) -> list[str]:
        self.asked += [view.agent for view in views]
        return [""] * len(views)


class Callable_(Named):
    """A policy that can be called for something else, as modules of torch can."""

    def __call__(self, tokens: Any) -> Any:
        raise AssertionError("only act is for the game")


def play(env: gymnasium.Env[Any, Any], seed: int = 1) -> Episode:
    _, info = env.reset(seed=seed)
    over = False
    while not over:
        _, _, terminated, truncated, info = env.step("")
        over = terminated or truncated
    episode: Episode = info["omar_episode"]
    return episode


def players(opponents: Any, seed: int = 1, **settings: Any) -> list[str]:
    env = gymnasium.make(SEAT, opponents=opponents, **{"num_players": 4, **settings})
    return [seat.policy for seat in play(env, seed).seats]


# --- opponents ----------------------------------------------------------------


def test_opponents_by_agent_id() -> None:
    mine = Named()
    given = {"player_1": "random", "player_2": mine, "player_3": lambda: Named("made")}
    assert players(given) == ["", "random", "named", "made"]
    assert set(mine.asked) == {"player_2"}


def test_who_is_left_out_is_scripted_and_the_own_entry_is_not_used() -> None:
    assert players({"player_0": "random", "player_2": "random"}) == [
        "",
        "scripted",
        "random",
        "scripted",
    ]


def test_opponents_in_the_order_of_the_other_seats() -> None:
    given = ["random", Named(), partial(ScriptedPolicy, noise=0.5)]
    assert players(given) == ["", "random", "named", "scripted"]
    assert players(given, seat=2) == ["random", "named", "", "scripted"]
    assert players(tuple(given), seat="player_3") == ["random", "named", "scripted", ""]


def test_a_drawn_seat_has_its_opponents_around_it() -> None:
    by_agent = {f"player_{seat}": Named(f"p{seat}") for seat in range(4)}
    in_order = [Named(f"p{number}") for number in range(3)]
    for seed in range(8):
        sat = players(by_agent, seed, seat="random")
        own = sat.index("")
        assert sat == [f"p{seat}" if seat != own else "" for seat in range(4)]
        assert [name for name in players(in_order, seed, seat="random") if name] == [
            "p0",
            "p1",
            "p2",
        ]


@pytest.mark.parametrize("form", [dict, list])
def test_equal_seeds_give_equal_games_with_opponents_of_their_own(form: type) -> None:
    seats = {"player_1": "random", "player_2": RandomPolicy, "player_3": "scripted"}
    opponents = seats if form is dict else [*seats.values()]
    env = gymnasium.make(SEAT, opponents=opponents, num_players=4)
    once = play(env, 3)
    play(env, 4)
    assert play(env, 3) == once


def test_random_opponents_of_their_own_do_not_act_alike() -> None:
    env = gymnasium.make(
        SEAT, opponents=["random"] * 5, num_players=6, first_phase="day", discussion_rounds=0
    )
    votes = [tuple(turn.text for turn in play(env, seed).turns[1:6]) for seed in range(6)]
    assert any(len(set(each)) > 2 for each in votes)


def from_keyword(*, seed: int) -> Policy:
    return RandomPolicy(seed)


@pytest.mark.parametrize("opponents", [from_keyword, Callable_(), Callable_])
def test_callables_of_every_form(opponents: Any) -> None:
    assert set(players(opponents)) <= {"", "random", "named"}


def test_who_is_given_a_seed() -> None:
    seeds: list[Any] = []

    def named(name: str = "named", *, seed: int = -1) -> Policy:
        seeds.append(seed)
        return Named(name)

    def required(number: int) -> Policy:
        seeds.append(number)
        return Named()

    mine = Named("mine")
    opponents = [named, required, partial(named, seed=7), lambda policy=mine: policy]
    assert players(opponents, num_players=5) == ["", "named", "named", "named", "mine"]
    drawn, other, own = seeds
    assert own == 7
    assert drawn >= 0 and other >= 0 and drawn != other


@pytest.mark.parametrize("opponents", [Path("/no/such/model"), "/no/such/model"])
def test_a_folder_may_be_a_path(opponents: Any) -> None:
    with pytest.raises(ConfigError, match="unknown policy '/no/such/model'"):
        gymnasium.make(SEAT, opponents=opponents)


class Nameless:
    def act(self, views: Sequence[View]) -> list[str]:
        return [""] * len(views)


@pytest.mark.parametrize(
    ("opponents", "said"),
    [
        ({"player_9": "random"}, "opponents names 'player_9'; the agents are player_0, player_1"),
        ({1: "random"}, "opponents names 1; the agents are player_0"),
        ({"player_1": "scriptd"}, "did you mean 'scripted'"),
        ({"player_1": None}, "opponents must be the name of a policy"),
        (["random"], "opponents has 1 policies, and there are 6 other seats"),
        (["random"] * 7, "opponents has 7 policies, and there are 6 other seats"),
        (["random"] * 5 + [3], "opponents must be the name of a policy"),
        (Nameless(), "an object with a name and act"),
        (lambda first, second: None, "is called with a seed or with nothing"),
        (None, "opponents must be the name of a policy"),
    ],
)
def test_opponents_that_do_not_fit(opponents: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as raised:
        gymnasium.make(SEAT, opponents=opponents)
    assert "\n" not in str(raised.value)


def test_a_callable_that_makes_no_policy() -> None:
    env = gymnasium.make(SEAT, opponents=lambda view: "I vote for Ana")
    with pytest.raises(ConfigError, match="made 'I vote for Ana': it makes a policy"):
        env.reset(seed=1)


def test_seats_of_trl_have_opponents_of_their_own() -> None:
    pytest.importorskip("trl")
    mine = Named()
    tools = environment_factory("werewolf", opponents={"player_2": mine}, num_players=4)()
    tools.reset(seed=1)
    tools.get_reward()
    assert set(mine.asked) == {"player_2"}


# --- Gymnasium's checks, all configurations that come along -------------------


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("discrete", [False, True, {"flat": True, "dtype": np.float32}])
def test_every_preset_passes(
    preset: str, discrete: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    check_env(gymnasium.make(SEAT, preset=preset, discrete=discrete, opponents="random").unwrapped)
    capsys.readouterr()


@pytest.mark.parametrize("discrete", ["yes", 1, ["flat"]])
def test_discrete_is_a_switch_or_options(discrete: Any) -> None:
    with pytest.raises(ConfigError, match="discrete must be True, False or the options"):
        gymnasium.make(SEAT, discrete=discrete)


# --- discrete conversations, legal acts and illegal ones ------------------------

GAMES: list[tuple[Any, dict[str, Any]]] = [
    *((werewolf_v0, {"preset": preset, "max_days": 2}) for preset in PRESETS),
    (werewolf_v0, {"num_players": 24, "max_days": 1}),
    (werewolf_v0, {"max_speech_chars": 1, "max_days": 1}),
    (sotopia_v0, {"scenario": [s.pk for s in scenarios() if s.outcome and s.num_agents == 2]}),
    (sotopia_v0, {"order": "round_robin", "max_turns": 4}),
]


@pytest.fixture
def untouched() -> Any:
    """The process-global generators are never drawn from."""
    before = random.getstate(), np.random.get_state()[1].tolist()
    yield
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return all(one[key].tobytes() == other[key].tobytes() for key in one | other)


@pytest.mark.parametrize(("game", "config"), GAMES, ids=range(len(GAMES)))
def test_observing_changes_nothing_and_illegal_acts_count(
    game: Any, config: dict[str, Any], untouched: None
) -> None:
    """Two equal games, one of them watched all the time; every third act is illegal."""
    watched, plain = (discretize(game.env(**config), length=64) for _ in range(2))
    watched.reset(seed=5)
    plain.reset(seed=5)
    rng = np.random.default_rng(5)
    illegal = 0
    for agent in plain.agent_iter():
        for each in watched.possible_agents:
            seen = watched.observe(each)
            assert seen in watched.observation_space(each)
            assert same(seen, watched.observe(each)) and same(seen, plain.observe(each))
        mask, _, terminated, truncated, _ = plain.last()
        assert agent == watched.agent_selection
        assert not (terminated and truncated)
        act = None
        if not (terminated or truncated):
            request = plain.unwrapped.view(agent).request
            wrong = np.flatnonzero(mask["action_mask"] == 0)
            legal = not len(wrong) or rng.random() < 2 / 3
            act = rng.choice(np.flatnonzero(mask["action_mask"]) if legal else wrong)
            illegal += not legal
        for env in (plain, watched):
            env.step(act)
        if act is not None:
            turn = plain.unwrapped._acts[-1]
            # Where silence is allowed, an empty reply is that.
            assert turn.valid == (legal or request.may_pass)
    assert illegal
    assert plain.unwrapped.episode() == watched.unwrapped.episode()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tokenizer": "gpt2"}, "tokenizer must be one of transformers"),
        ({"tokenizer": 3}, "tokenizer must be one of transformers"),
        ({"key": 3}, "key must be a name"),
        ({"dtype": "no type"}, "dtype must be 'int32' or 'float32': got 'no type'"),
        ({"dtype": np.int64}, "dtype must be 'int32' or 'float32'"),
    ],
)
def test_options_that_are_none(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        discretize(werewolf_v0.env(), **options)


@pytest.mark.parametrize("env", [None, "werewolf", werewolf_v0, werewolf_v0.env])
@pytest.mark.parametrize("wrap", [discretize, wrappers.SingleAgentEnv])
def test_what_is_no_conversation(wrap: Callable[[Any], Any], env: Any) -> None:
    with pytest.raises(ConfigError, match="is not a conversation"):
        wrap(env)


@pytest.mark.parametrize("make", [werewolf_v0.env, werewolf_v0.parallel_env])
def test_nothing_is_discretized_twice(make: Callable[[], Any]) -> None:
    with pytest.raises(ConfigError, match="discrete already"):
        discretize(discretize(make()))


def test_numpy_numbers_and_types_are_as_good() -> None:
    env = discretize(werewolf_v0.env(), length=np.int64(7), dtype=np.float32)
    assert env.observation_space("player_0")["observation"].shape == (7,)
    assert env.observation_space("player_0")["observation"].dtype == np.float32


@pytest.mark.slow  # transformers takes seconds to import
def test_a_tokenizer_of_transformers() -> None:
    transformers = pytest.importorskip("transformers")
    house = pytest.importorskip("omar_trainers.house").house_directory()
    tokenizer = transformers.AutoTokenizer.from_pretrained(house)
    env = discretize(werewolf_v0.env(prompt_style="terse"), tokenizer=tokenizer, length=8)
    env.reset(seed=1)
    agent = env.agent_selection
    seen = env.observe(agent)
    assert seen in env.observation_space(agent)
    ids = tokenizer.encode(env.unwrapped.observe(agent)["text"], add_special_tokens=False)
    assert len(ids) > 8
    assert (seen["observation"] - 1).tolist() == ids[-8:]


def test_the_classes_are_found_where_one_looks_first() -> None:
    for name in wrappers.__all__:
        assert isinstance(getattr(wrappers, name), type)
        assert name in dir(wrappers)


def test_nothing_warns_on_a_plain_first_use() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gymnasium.make(SEAT, seat=np.int64(2), opponents="random", discrete=True)
        env.reset(seed=1)
        env.step(env.action_space.sample())
        env.close()


def test_what_a_wrong_version_is_answered_with_would_install_a_right_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An extra alone leaves a newer library where it is."""
    info = tmp_path / "textarena-9.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: textarena\nVersion: 9.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigError) as raised:
        check("textarena")
    remedy = "pip install 'omar-envs[textarena]' 'textarena>=0.7.3,<0.8'"
    assert str(raised.value).endswith(remedy)


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_vectors_of_seats_with_opponents_of_their_own(mode: str) -> None:
    envs = gymnasium.make_vec(
        SEAT,
        num_envs=2,
        vectorization_mode=mode,
        opponents={"player_1": "random", "player_2": RandomPolicy(4)},
        num_players=3,
        discrete=True,
    )
    try:
        one, _ = envs.reset(seed=[3, 3])
        assert one["observation"].shape == (2, 512)
        assert one["observation"][0].tolist() == one["observation"][1].tolist()
        envs.step(envs.action_space.sample())
    finally:
        envs.close()
