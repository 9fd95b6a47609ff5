"""Random and hostile acts over random scenarios: no exception, and an end within ``max_turns``."""

from __future__ import annotations

import math
import re
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omar_envs import rollout, sotopia_v0
from omar_envs.conversation import ConversationEnv
from omar_envs.sotopia import acts
from omar_envs.sotopia.env import SotopiaEnv
from omar_envs.sotopia.library import library
from omar_envs.types import Episode
from tests.envs.games import everything
from tests.envs.sotopia_configs import CHOICES, Config, configs, reply, seeded

REASONS = {"settled", "broken_off", "left", "idle", "max_turns"}


def lawful_game(config: Config, seed: int) -> Episode:
    """Play a game of odd replies, checked after every act."""
    rng = Random(seed)
    env = sotopia_v0.raw_env(**config)
    env.reset(seed=seed)
    agents = env.possible_agents
    paid = dict.fromkeys(agents, 0.0)
    acts_made = 0
    most = env.config["max_turns"] * len(agents)
    while not env.over:
        acting = env.acting
        assert acting
        assert acting[0] == env.agent_selection
        for agent in acting:
            view = env.view(agent)
            assert view.alive
            assert view.request is not None
            assert view.text.endswith(view.request.instruction)
        env.step(reply(env.view(acting[0]), rng.randrange))
        acts_made += 1
        assert acts_made <= most
        for agent in agents:
            paid[agent] += env.rewards[agent]
            assert math.isfinite(paid[agent])
        _, reward, _, _, info = env.last()
        assert reward == sum(info["reward_components"].values())
    episode = env.episode()
    lawful_end(env, episode)
    assert {a: episode.total_reward(a) for a in agents} == pytest.approx(paid)
    assert msgspec.json.decode(msgspec.json.encode(episode), type=Episode) == episode
    return episode


def lawful_end(env: ConversationEnv, episode: Episode) -> None:
    outcome, config = episode.outcome, episode.config
    assert outcome["reason"] in REASONS
    assert outcome["turns"] == len(episode.stages) <= config["max_turns"]
    assert episode.truncated == (outcome["reason"] == "max_turns")
    assert set(env.terminations.values()) == {episode.terminated}
    assert set(env.truncations.values()) == {episode.truncated}
    assert outcome["left"] == [a for a in env.possible_agents if not env.view(a).alive]
    here = len(episode.seats) - len(outcome["left"])
    if outcome["reason"] == "left":
        assert here < config["min_present"]
    elif outcome["reason"] != "settled" and outcome["reason"] != "broken_off":
        assert here >= config["min_present"]
    for turn in episode.turns:
        assert acts.from_text(turn.text)
        assert turn.valid == (not turn.error)
        assert turn.valid or turn.text == acts.to_text(acts.IDLE)
    invalid = [sum(not t.valid for t in episode.turns_of(a)) for a in env.possible_agents]
    assert invalid == [env.infos[a]["invalid_actions"] for a in env.possible_agents]
    for agent, wrong in zip(env.possible_agents, invalid, strict=True):
        parts = episode.rewards[agent]
        assert parts["invalid"] == pytest.approx(-config["invalid_penalty"] * wrong)
        if config["reward"] == "outcome":
            assert parts["outcome"] == outcome["scores"][agent]
        else:
            assert "outcome" not in parts
    for score in outcome.get("scores", {}).values():
        assert 0 <= score <= 1
    assert ("deal" in outcome) == ("scores" in outcome)


@given(configs(8), st.integers(0, 2**32 - 1))
@settings(max_examples=150)
def test_random_and_hostile_games_break_no_law(config: Config, seed: int) -> None:
    episode = lawful_game(config, seed)
    assert rollout.replay(episode) == episode


def test_the_sample_comes_to_every_end_and_takes_every_setting() -> None:
    ends, seats, taken = set(), set(), {}
    for seed in range(250):
        config = seeded(seed)
        episode = lawful_game(config, seed)
        ends.add(episode.outcome["reason"])
        seats.add(len(episode.seats))
        for name in CHOICES:
            taken.setdefault(name, set()).add(str(episode.config[name]))
    assert ends == REASONS
    assert seats == set(range(2, 9))
    assert taken == {name: {str(value) for value in CHOICES[name]} for name in CHOICES}


def test_every_shipped_scenario() -> None:
    assert library().environments
    for number, (name, scenario) in enumerate(library().environments.items()):
        reward = "none" if scenario.outcome is None else "outcome"
        order = ("simultaneous", "round_robin", "random")[number % 3]
        config = {"scenario": name, "reward": reward, "order": order, "max_turns": 6}
        episode = lawful_game(config, number)
        assert episode.config["scenario"] == name
        assert rollout.replay(episode) == episode


def test_every_setting_is_documented() -> None:
    assert sotopia_v0.__doc__ is not None
    arguments = sotopia_v0.__doc__.split("Arguments\n---------\n")[1]
    documented = re.findall(r"^(\w+) : ", arguments, re.MULTILINE)
    config = set(sotopia_v0.raw_env(**seeded(1)).config)
    assert sorted(documented) == sorted(config | {"judge", "render_mode"})


# --- what it must notice --------------------------------------------------------


def goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SotopiaEnv, "_reason_to_end", lambda self: "")


def left_acts(monkeypatch: pytest.MonkeyPatch) -> None:
    movers = SotopiaEnv._movers

    def with_one_who_left(self: SotopiaEnv) -> Any:
        gone = [a for a in self.possible_agents if a not in self._present]
        return (*movers(self), *gone[:1])

    monkeypatch.setattr(SotopiaEnv, "_movers", with_one_who_left)


def crash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acts, "clean", lambda text: text.encode().decode())


def overpaid(monkeypatch: pytest.MonkeyPatch) -> None:
    settle = SotopiaEnv._settle

    def twice(self: SotopiaEnv) -> None:
        settle(self)
        settle(self)

    monkeypatch.setattr(SotopiaEnv, "_settle", twice)


def never_truncated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SotopiaEnv, "_hit_limit", lambda self: False)


@pytest.mark.parametrize("fault", [goes_on, left_acts, crash, overpaid, never_truncated])
def test_it_notices(fault: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fault(monkeypatch)
    with pytest.raises((AssertionError, UnicodeEncodeError)):
        for seed in range(120):
            lawful_game(seeded(seed), seed)
    monkeypatch.undo()


def test_looking_changes_nothing_and_chats_only_grow_at_the_end() -> None:
    for seed in range(25):
        config = {**seeded(seed), "max_turns": 6}
        rng, other_rng = Random(seed), Random(seed)
        env, quiet = (sotopia_v0.raw_env(**config) for _ in range(2))
        env.reset(seed=seed)
        quiet.reset(seed=seed)
        earlier = {agent: env.view(agent).messages for agent in env.possible_agents}
        while not env.over:
            for agent in reversed(env.possible_agents):
                assert everything(env, agent) == everything(env, agent)
            env.last()
            _ = env.acting, env.config, env.over
            env.step(reply(env.view(env.agent_selection), rng.randrange))
            quiet.step(reply(quiet.view(quiet.agent_selection), other_rng.randrange))
            for agent in env.possible_agents:
                messages = env.view(agent).messages
                assert messages[: len(earlier[agent])] == earlier[agent]
                roles = [message["role"] for message in messages[1:]]
                assert roles == (["user", "assistant"] * len(roles))[: len(roles)]
                earlier[agent] = messages
        assert quiet.episode() == env.episode()
        for agent in env.possible_agents:
            assert earlier[agent][-1]["role"] == "user"
            assert earlier[agent][-1]["content"].endswith(env.view(agent).log[-1].text)
