"""Sets of scenarios: each reset draws a scenario with its cast, and the episode tells which."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from omar_envs import NegotiatorPolicy, RandomPolicy, rollout, sotopia_v0
from omar_envs.errors import ConfigError, EpisodeError
from omar_envs.sotopia import importer
from omar_envs.sotopia.library import library
from omar_envs.sotopia.profiles import EnvAgentCombo, EnvironmentProfile, ScenarioSet

SETTINGS = ({"reward": "none", "order": "random"}, {"num_agents": 3, "order": "round_robin"})


def own_set() -> ScenarioSet:
    """A set that is not the library's: other keys, some of its scenarios and casts."""
    shipped = library()
    twos = [each for each in shipped.environments.values() if each.num_agents == 2][:6]
    threes = [each for each in shipped.environments.values() if each.num_agents == 3][:6]
    renamed = {f"own_{s.pk}": msgspec.structs.replace(s, pk=f"own_{s.pk}") for s in twos + threes}
    combos = tuple(
        EnvAgentCombo(f"own_{combo.pk}", f"own_{combo.env_id}", combo.agent_ids)
        for combo in shipped.combos
        if f"own_{combo.env_id}" in renamed
    )
    return ScenarioSet(shipped.agents, renamed, (), combos, (combos[0].pk, threes[0].pk))


def two_seats(given: ScenarioSet) -> ScenarioSet:
    combos = tuple(c for c in given.combos if len(c.agent_ids) == 2)
    return msgspec.structs.replace(given, combos=combos)


@pytest.mark.parametrize("settings", SETTINGS)
def test_games_are_drawn_from_the_set_and_replay(settings: dict[str, Any]) -> None:
    given = own_set() if "num_agents" in settings else two_seats(own_set())
    casts = {(s.codename, tuple(a.name for a in cast)) for s, cast in given.meetings()}
    played = rollout.run(
        lambda: sotopia_v0.raw_env(scenario=given, max_turns=4, **settings),
        NegotiatorPolicy(seed=1),
        episodes=30,
        seed=0,
    )
    drawn = set()
    for episode in played:
        setting = episode.outcome["setting"]
        names = tuple(each["name"] for each in setting["participants"].values())
        assert (setting["codename"], names) in casts
        drawn.add((setting["codename"], names))
        assert rollout.replay(episode) == episode
    assert len(drawn) >= 5


def test_a_set_in_a_file_and_in_plain_types_is_the_same_set(tmp_path: Path) -> None:
    given = two_seats(own_set())
    path = tmp_path / "own.json"
    path.write_bytes(importer.encode(given))
    whole = sotopia_v0.raw_env(scenario=given, reward="none")
    again = sotopia_v0.raw_env(**msgspec.json.decode(msgspec.json.encode(whole.config)))
    from_file = sotopia_v0.raw_env(scenario=str(path), reward="none")
    for seed in range(5):
        texts = set()
        for env in (whole, again, from_file):
            env.reset(seed=seed)
            texts.add(env.observe("agent_0")["text"])
        assert len(texts) == 1


def test_the_hard_part_of_a_set() -> None:
    given = own_set()
    hard = given.only_hard()
    assert {c.pk for c in hard.combos} == {
        c.pk for c in given.combos if c.pk in given.hard or c.env_id in given.hard
    }
    assert 0 < len(hard.combos) < len(given.combos)


def test_only_what_fits_is_drawn() -> None:
    given = own_set()
    env = sotopia_v0.raw_env(scenario=given, num_agents=3)
    assert {each.num_agents for each in env.scenarios} == {3}
    assert all(each.outcome is not None for each in env.scenarios)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"num_agents": 7}, "none of the"),
        ({"agents": ["a", "b"]}, "leave out agents"),
        ({}, "participants, not"),
    ],
)
def test_what_does_not_fit_is_refused(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        sotopia_v0.raw_env(scenario=own_set(), **settings)


def test_a_file_that_is_no_set(tmp_path: Path) -> None:
    path = tmp_path / "own.json"
    path.write_text("[1, 2]")
    with pytest.raises((ConfigError, EpisodeError), match=r"own\.json"):
        sotopia_v0.raw_env(scenario=str(path))


def test_misspelt_keys_and_long_values_are_told_shortly() -> None:
    with pytest.raises(ConfigError, match="no 'relationshp'"):
        sotopia_v0.raw_env(scenario={"pk": "x", "relationshp": 3})
    for settings in ({"agents": ["x" * 50] * 400}, {"scenario": set(range(5000))}):
        with pytest.raises(ConfigError) as raised:
            sotopia_v0.raw_env(**settings)
        assert len(str(raised.value)) < 500


def test_a_cast_that_an_outcome_could_confuse_is_refused_at_construction() -> None:
    cast = list(library().agents.values())[:2]
    lamp = msgspec.structs.replace(cast[0], first_name="Lamp", last_name="")
    with pytest.raises(ConfigError):
        sotopia_v0.raw_env(agents=[lamp, cast[1]])


def test_the_library_is_a_set_too() -> None:
    env = sotopia_v0.raw_env(scenario=library().only_hard(), num_agents=2)
    assert {each.difficulty for each in env.scenarios} == {"hard"}
    episode = rollout.play(env, RandomPolicy(1), seed=3)
    assert isinstance(env.scenario, EnvironmentProfile)
    assert rollout.replay(episode) == episode
