"""The fuzzer for some seconds, and proof that it notices what it looks for."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.fuzz import BrokenLaw, act_bound, fuzz, play_game
from omar_envs import werewolf_v0
from omar_envs.conversation import ConversationEnv
from omar_envs.engine import Engine
from omar_envs.ledger import Ledger
from omar_envs.types import View
from omar_envs.werewolf.presets import PRESETS
from omar_envs.werewolf.roles import ROLE_CLASSES
from omar_envs.werewolf.rules import Game, Vote
from tests.envs.games import finish, pure, started
from tests.envs.werewolf_configs import seeded

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "fuzz.py"


@pytest.mark.slow
def test_random_and_hostile_games_break_no_law() -> None:
    acts: list[int] = []
    report = fuzz(20_000, seed=1, progress=acts.append)
    assert acts == sorted(acts)
    assert acts[-1] == report.acts >= 20_000
    assert set(report.ends) >= {"village", "werewolf", "jester", "max_days"}
    assert sum(report.ends.values()) == report.games
    assert report.replays >= report.games // 10


@pytest.mark.slow
def test_it_runs_as_a_command_in_two_processes() -> None:
    command = [sys.executable, str(SCRIPT), "--acts", "500", "--seed", "2", "--processes", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert re.search(r"acts in .* games, .* acts/s, .* replayed, no law broken", done.stdout)


# --- the sample -----------------------------------------------------------------


def documented_values() -> dict[str, set[str]]:
    """Setting to the words that its line in the module's docstring has in quotes."""
    assert werewolf_v0.__doc__ is not None
    arguments = werewolf_v0.__doc__.split("Arguments\n---------\n")[1]
    heads = re.findall(r"^(\w+(?:, \w+)*) : (.*)$", arguments, re.MULTILINE)
    return {
        name: set(re.findall(r'"(\w+)"', types))
        for names, types in heads
        for name in names.split(", ")
    }


def test_the_sample_takes_every_setting_every_value_every_role_and_every_preset() -> None:
    documented = documented_values()
    taken: dict[str, set[str]] = {name: set() for name in documented}
    roles: set[str] = set()
    for seed in range(3000):
        config = seeded(seed)
        for name, value in config.items():
            values = value if isinstance(value, list | tuple) else [value]
            taken[name] |= {str(item) for item in values}
        roles |= {role for role, count in config.get("roles", {}).items() if count}
    assert roles == set(ROLE_CLASSES)
    assert taken.pop("preset") == set(PRESETS)
    # The fuzzer has a judge of its own; rendering shows nothing to agents.
    for name in ("judge", "render_mode"):
        assert not taken.pop(name)
    defaults = werewolf_v0.raw_env().config
    assert set(defaults) == set(taken)
    for name, values in taken.items():
        assert values - {str(defaults[name])}, f"{name} is never but its default"
        assert documented[name] <= values | {str(defaults[name])}


def test_every_configuration_of_the_sample_is_possible() -> None:
    for seed in range(500):
        config = seeded(seed)
        env = werewolf_v0.raw_env(**config)
        for name in config.keys() - {"preset", "roles"}:
            given = config[name]
            given = list(given) if isinstance(given, tuple) else given
            assert name in ("names", "personas") or env.config[name] == given


def test_the_bound_is_met_by_a_game_in_which_all_acts_are_made() -> None:
    env = started(
        num_players=6,
        roles={"werewolf": 2, "seer": 1, "doctor": 1},
        kill_tie="none",
        vote_tie="revote",
        discussion="bidding",
        max_days=4,
    )
    wolves = [agent for agent in env.possible_agents if env.view(agent).role == "werewolf"]

    def quarrel(view: View) -> str:
        assert view.request is not None
        choices = view.request.choices
        if view.facts["phase"] == "night" and view.agent in wolves:
            return choices[wolves.index(view.agent)]
        if view.facts["phase"] == "vote":
            # Two against two, again and again, while the others abstain.
            voters = view.facts["alive"][:2]
            return voters[1 - voters.index(view.name)] if view.name in voters else "abstain"
        return pure(view)

    episode = finish(env, quarrel)
    assert episode.truncated
    assert len(episode.turns) == act_bound(env.config) - 6


# --- what it must notice --------------------------------------------------------


def dead_vote(monkeypatch: pytest.MonkeyPatch) -> None:
    actors = Game.actors

    def with_the_dead(self: Game, step: Any) -> list[int]:
        dead = [death.player for death in self.deaths] if step.kind == "vote" else []
        return actors(self, step) + dead

    monkeypatch.setattr(Game, "actors", with_the_dead)


def nobody_acts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Engine, "acting", property(lambda self: ()))


def no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Game, "hit_limit", lambda self: False)
    monkeypatch.setattr(Game, "resolve_night", lambda self, step, named: [])
    monkeypatch.setattr(Game, "resolve_vote", lambda self, step, named: Vote())


def rare_exception(monkeypatch: pytest.MonkeyPatch) -> None:
    def misfire(self: Game, step: Any, target: int) -> None:
        raise KeyError(target)

    monkeypatch.setattr(Game, "resolve_shot", misfire)


def infinite_pay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Game, "rewards", lambda self: [float("inf")] * self.rules.num_players)


def not_zero_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    rewards = Game.rewards
    monkeypatch.setattr(Game, "rewards", lambda self: [r + 0.5 for r in rewards(self)])


def lost_component(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Ledger.step_components

    def without_penalties(self: Ledger) -> Any:
        return {a: {**parts, "invalid": 0.0} for a, parts in shown(self).items()}

    monkeypatch.setattr(Ledger, "step_components", without_penalties)


def one_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    publish = ConversationEnv._publish

    def but_for_one(self: ConversationEnv) -> None:
        publish(self)
        self.terminations[self.possible_agents[-1]] = False
        self.truncations[self.possible_agents[-1]] = False

    monkeypatch.setattr(ConversationEnv, "_publish", but_for_one)


def other_dice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Game, "_draw", lambda self, options: random.randrange(options))


def twice_on_the_ballot(monkeypatch: pytest.MonkeyPatch) -> None:
    targets = Game.targets
    monkeypatch.setattr(Game, "targets", lambda self, who, kind: targets(self, who, kind) * 2)


def question_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    observe = ConversationEnv.observe

    def but_the_end(self: ConversationEnv, agent: str) -> Any:
        return {"text": observe(self, agent)["text"].rpartition("\n")[0]}

    monkeypatch.setattr(ConversationEnv, "observe", but_the_end)


def resurrection(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Game._plan_day

    def easter(self: Game) -> Any:
        if self.days_begun == 2:
            self.alive = [True] * len(self.alive)
        return plan(self)

    monkeypatch.setattr(Game, "_plan_day", easter)


FAULTS = (
    *(dead_vote, nobody_acts, no_end, rare_exception, infinite_pay, not_zero_sum, lost_component),
    *(one_goes_on, other_dice, twice_on_the_ballot, question_left_out, resurrection),
)


def names(faults: Iterable[Any]) -> list[str]:
    return [fault.__name__ for fault in faults]


@pytest.mark.parametrize("fault", FAULTS, ids=names(FAULTS))
def test_it_notices(fault: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fault(monkeypatch)
    with pytest.raises(BrokenLaw, match=r"in game \d+: .*\n.*--seed 3 --game") as caught:
        fuzz(40_000, seed=3)
    number = int(str(caught.value).rpartition(" ")[2])
    monkeypatch.undo()
    # The game that it names is fair without the fault.
    assert play_game(3, number).games == 1
