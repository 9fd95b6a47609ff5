"""What playing the shipped scenarios without a model comes to: scripted and random seats.

Every computed scenario is played ``--games`` times by each of three policies in all seats:
the scripted negotiators, legal acts at random, and a stock phrase and nothing else.

::

    python benchmarks/scenario_baselines.py --games 24

Takes about two minutes on one core. The tables go to
``benchmarks/results/scenario_baselines.md``. Needs ``rich`` (in ``omar-envs[train]``).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import msgspec
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from omar_envs import rollout, sotopia_v0
from omar_envs.conversation import ConversationEnv
from omar_envs.policy import Policy, RandomPolicy
from omar_envs.sotopia import library
from omar_envs.sotopia.bots import NegotiatorPolicy
from omar_envs.sotopia.profiles import EnvironmentProfile
from omar_envs.types import Episode
from omar_envs.werewolf.estimates import Estimate, Kind, Observation, estimate, nothing

TARGET = Path(__file__).parent / "results" / "scenario_baselines.md"

POLICIES: dict[str, Callable[[int], Policy]] = {
    "scripted": NegotiatorPolicy,
    "random legal acts": lambda seed: NegotiatorPolicy(seed, noise=1.0),
    "a stock phrase": RandomPolicy,
}

MEASURES = ("joint_share", "nash_product", "pareto_optimal", "right_share")

COLUMNS = ("settled", "score", *MEASURES)


class Played(NamedTuple):
    """One game, and by whom of what."""

    policy: str
    mechanism: str
    episode: Episode


def observations(episode: Episode) -> Iterator[Observation]:
    """What one game adds to the columns."""
    outcome = episode.outcome
    yield Observation("settled", float(outcome["settled"]))
    yield Observation("score", fmean(outcome["scores"].values()))
    for name in MEASURES:
        if name in outcome["measures"]:
            yield Observation(name, outcome["measures"][name])


def kind_of(name: str) -> Kind:
    """Kind of a column."""
    return "share" if name == "settled" else "mean"


def mechanism(scenario: EnvironmentProfile) -> str:
    """Name of the scenario's mechanism."""
    return str(msgspec.to_builtins(scenario.outcome)["mechanism"])


def play_all(games: int, seed: int) -> list[Played]:
    """Every scenario by every policy."""
    scenarios = library.scenarios(computed=True)
    played: list[Played] = []
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    ) as progress:
        bar = progress.add_task("games", total=len(scenarios) * len(POLICIES) * games)
        for scenario in scenarios:

            def make(scenario: EnvironmentProfile = scenario) -> ConversationEnv:
                return sotopia_v0.raw_env(scenario)

            for name, policy in POLICIES.items():
                for episode in rollout.run(make, policy(seed), games, seed):
                    played.append(Played(name, mechanism(scenario), episode))
                progress.advance(bar, games)
    return played


def cell(found: Estimate) -> str:
    """``0.93 [0.91, 0.95]``; a bare number where all games agree, "–" without any."""
    if found.value is None:
        return "–"
    if found.low is None or found.high is None or round(found.high - found.low, 6) == 0:
        return f"{found.value:.2f}"
    return f"{found.value:.2f} [{max(0.0, found.low):.2f}, {min(1.0, found.high):.2f}]"


def row(policy: str, games: Sequence[Played]) -> str:
    """One policy's line."""
    mine = [game.episode for game in games if game.policy == policy]
    found = estimate((observations(episode) for episode in mine), kind_of)
    cells = [cell(found.get(name, nothing(kind_of(name)))) for name in COLUMNS]
    invalid = sum(not turn.valid for episode in mine for turn in episode.turns)
    return f"| {' | '.join([policy, str(len(mine)), *cells, str(invalid)])} |"


def report(played: Sequence[Played], games: int, seed: int) -> str:
    """The whole page."""
    head = ["seats played by", "games", *(name.replace("_", " ") for name in COLUMNS), "invalid"]
    lines = [
        "# Baselines of the computed scenarios",
        "",
        "Every computed scenario of `omar_envs.sotopia.library`, simultaneous order, 20 turns, one",
        f"policy in all seats, {games} games each. Made by",
        f"`python benchmarks/scenario_baselines.py --games {games} --seed {seed}`.",
        "",
        "- settled: share of games with a deal, or in which all answered. Where no price suits",
        "  both, none is right.",
        "- score: mean over the seats of what they are paid, 0 to 1.",
        "- joint share, Nash product, Pareto optimal: `omar_envs.sotopia.mechanisms.measures`;",
        "  prices, public goods and questions with a right answer have some of their own.",
        "- right share: of the seats with the right answer, where there is one.",
        "",
        "Intervals are 95%, over games (`omar_envs.werewolf.estimates`). Chance changes the casts",
        "and what random seats do; scripted seats draw little more than their words by it.",
    ]
    names = sorted({game.mechanism for game in played})
    for name in ("all", *names):
        group = [game for game in played if name in ("all", game.mechanism)]
        lines += [
            "",
            f"## {name}",
            "",
            f"| {' | '.join(head)} |",
            f"|---|{'---:|' * (len(head) - 1)}",
            *(row(policy, group) for policy in POLICIES),
        ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Play, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--games", type=int, default=24, help="per scenario and policy")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    TARGET.write_text(report(play_all(args.games, args.seed), args.games, args.seed), "utf-8")
    print(TARGET)


if __name__ == "__main__":
    main()
