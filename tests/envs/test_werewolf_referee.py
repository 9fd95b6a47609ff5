"""Random games of all settings, held against the rules by a referee who knows only the page."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest

from omar_envs import werewolf_v0
from omar_envs.types import Episode
from omar_envs.werewolf import roles, rules
from tests.envs.werewolf_configs import SMALL, Config, reply, seeded
from tests.envs.werewolf_referee import ROLES, Foul, check


def settings(seed: int) -> Config:
    """A configuration whose names stand in no other word, and whose roles the referee knows."""
    config = seeded(seed, SMALL) | {"names": None}
    if "roles" in config:
        # Villagers fill up.
        known = ROLES - {"villager"}
        config["roles"] = {role: n for role, n in config["roles"].items() if role in known}
    return config


def played(seed: int) -> Episode:
    env = werewolf_v0.raw_env(**settings(seed))
    env.reset(seed=seed)
    rng = Random(seed)
    names = list(env.view("player_0").names.values())
    # Where few are named there are ties, revotes, and victims who are protected.
    crowd = rng.random() < 0.5
    while not env.over:
        request = env.infos[env.agent_selection]["request"]
        said = reply(request, names, rng.randrange)
        env.step(request.choices[rng.randrange(2)] if crowd and request.choices[2:] else said)
    return env.episode()


def test_games_are_played_by_the_rules() -> None:
    ends: Counter[Any] = Counter()
    phases: Counter[str] = Counter()
    for seed in range(1000):
        game = played(seed)
        check(game)
        ends[game.outcome["winner"]] += 1
        phases.update(stage.phase for stage in game.stages)
        phases.update(death["cause"] for death in game.outcome["deaths"])
    assert ends.keys() == {"werewolf", "village", "jester", None}
    assert min(phases[cause] for cause in ("killed", "poisoned", "voted_out", "shot")) > 20
    assert min(phases[phase] for phase in ("bid", "last_words", "shot", "wolf_chat")) > 20


FAULTS: list[tuple[Any, str, Any]] = [
    (roles.Doctor, "resolve", lambda self, game, night, player, target: None),
    (roles.Doctor, "targets", lambda self, game, player: game.living()),
    (roles.Witch, "told", lambda self, night: night.victim),
    (roles.Hunter, "shoots", lambda self, cause: True),
    (roles.Mayor, "vote_weight", lambda self, rules: 1),
    (roles.Mayor, "breaks_ties", lambda self, rules: False),
    (roles.Idiot, "survives_vote", lambda self: False),
    (roles.Jester, "wins_by", lambda self, cause: cause != "voted_out"),
    (roles.Jester, "wins_by", lambda self, cause: True),
    (rules.Game, "days_missed", lambda self, player: 0),
    (rules, "two_most", lambda counted: tuple(sorted(counted)[:2])),
    (rules, "most", lambda counted: sorted(counted)[:1]),
]
"""Rules broken one at a time."""


@pytest.mark.parametrize(("owner", "name", "fault"), FAULTS)
def test_the_referee_sees_a_broken_rule(
    owner: Any, name: str, fault: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, name, fault)
    with pytest.raises(Foul):
        for seed in range(1500):
            check(played(seed))
