"""What an arena found, as values that go to JSON and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from omar_envs.arena.statistics import CONFIDENCE, Difference, Settling
from omar_envs.errors import ConfigError
from omar_envs.judge import Agreement
from omar_envs.metering import Usage
from omar_envs.werewolf.estimates import Estimate


class Rate(msgspec.Struct, frozen=True):
    """How often one side won.

    Attributes:
        games: games that count here.
        wins, draws: of these; a draw is a game that no side won.
        rate: ``wins / games``; ``None`` without games.
        low, high: Wilson's interval of it.
    """

    games: int
    wins: int
    draws: int
    rate: float | None
    low: float
    high: float


class Score(msgspec.Struct, frozen=True):
    """Mean score over the seeds: a win is 1, a draw 1/2, a loss 0.

    Attributes:
        seeds: how many; each was played with all rotations of teams or seats.
        mean: in [0, 1]; above 1/2 the entrant is the stronger one.
        low, high: interval from the variance between seeds.
    """

    seeds: int
    mean: float
    low: float
    high: float


class Measure(msgspec.Struct, frozen=True):
    """A share, mean or median, with an interval that takes the seeds for the sample.

    Attributes:
        kind: ``share``, ``mean`` or ``median``.
        value: ``None`` without an observation.
        low, high: interval; ``None`` where there is none to give.
        n: observations.
    """

    kind: str
    value: float | None
    low: float | None
    high: float | None
    n: int

    @classmethod
    def of(cls, found: Estimate) -> Measure:
        """From an estimate over games or seeds."""
        return cls(found.kind, found.value, found.low, found.high, found.n)


Measures = dict[str, Measure]
"""By name."""


class Entrant(msgspec.Struct, frozen=True):
    """One policy's side of a comparison.

    Attributes:
        name: what the results call it.
        acts, invalid_acts: its acts, and those that could not be read.
        by_team: its results in each team; empty where there are no two teams.
        by_team_clean: the same over the games in which every act could be read.
        by_role: its team's results in the games in which it had a seat of that role.
        rewards: mean total reward of its seats: ``all``, and by role or seat.
        outcomes: of scenarios whose outcome is computed: ``score``, ``points``, the share
            ``settled``, and the scenario's own measures.
    """

    name: str
    acts: int
    invalid_acts: int
    by_team: dict[str, Rate]
    by_team_clean: dict[str, Rate]
    by_role: dict[str, Rate] = {}
    rewards: Measures = {}
    outcomes: Measures = {}


class Judged(msgspec.Struct, frozen=True):
    """What a judge said of the games of A against B, by one rubric.

    Attributes:
        ok, failed, refused: judgements; only those that are ok enter any mean.
        a, b: mean score of each dimension, and of their plain mean ``overall``.
        differences: A minus B per dimension, over the seeds whose games were all judged.
        agreement: between judges, where there were several judgements of a game.
        errors: why there are none, and how often.
    """

    ok: int
    failed: int
    refused: int
    a: Measures
    b: Measures
    differences: dict[str, Difference]
    agreement: dict[str, dict[str, float | int | None]]
    errors: dict[str, int]


def agreement_fields(found: Agreement) -> dict[str, float | int | None]:
    """An agreement with the names of its fields, as JSON should have them."""
    return dict(found._asdict())


class ArenaResult(msgspec.Struct, frozen=True):
    """A against B.

    Attributes:
        a, b: the entrants.
        score: A's score; B's is one minus that. In games of two teams by who won, else
            by whose seats were paid more on the mean.
        control: each team's results with B in every seat, one game per seed; empty if
            none was played, or there are no two teams.
        games: games of A against B.
        truncated: those of them that a limit ended.
        clean_games: those of them in which every act could be read.
        seed: of the run.
        confidence: coverage of every interval.
        difference: A minus B, paired by seed: of the win rates in games of two teams, else
            of the mean rewards of their seats.
        settling: how many games would settle it.
        control_rewards, control_outcomes: of B in every seat, as in :class:`Entrant`.
        probes: Werewolf's measures of play, by who had the wolves.
        judged: by rubric.
        seed_scores: A's mean score on each seed, in the order of the seeds.
    """

    a: Entrant
    b: Entrant
    score: Score
    control: dict[str, Rate]
    games: int
    truncated: int
    clean_games: int
    seed: int
    confidence: float = CONFIDENCE
    difference: Difference | None = None
    settling: Settling | None = None
    control_rewards: Measures = {}
    control_outcomes: Measures = {}
    probes: dict[str, Measures] = {}
    judged: dict[str, Judged] = {}
    seed_scores: tuple[float, ...] = ()

    @property
    def has_teams(self) -> bool:
        """Whether two teams were compared, and not the rewards of seats."""
        return bool(self.a.by_team)

    @property
    def score_of_b(self) -> Score:
        """The other side of :attr:`score`."""
        mean, low, high = self.score.mean, self.score.low, self.score.high
        return Score(self.score.seeds, 1 - mean, 1 - high, 1 - low)

    def to_json(self) -> str:
        """The whole result as indented JSON."""
        return indented(self)

    def table(self) -> str:
        """The result as lines of plain text, ready to print or paste."""
        from omar_envs.arena.rendering import plain
        from omar_envs.arena.sections import result_section

        return plain([result_section(self)])

    def markdown(self) -> str:
        """All of it in Markdown, without a picture."""
        from omar_envs.arena.rendering import markdown
        from omar_envs.arena.sections import match_sections

        return markdown(match_sections(self), f"{self.a.name} against {self.b.name}")

    def notes(self) -> list[str]:
        """What the numbers are, in sentences."""
        what = "the teams swapped" if self.has_teams else "the seats changed"
        each = self.games // self.score.seeds
        played = "twice" if each == 2 else f"{each} times"
        win = "Win rates" if self.has_teams else "Games in which its seats were paid more,"
        half = "in 'both teams' draws are half" if self.has_teams else "equal pay is half a game"
        lines = [
            f"{win} with {self.confidence:.0%} intervals; {half}.",
            f"{self.games} games: {self.score.seeds} seeds (run {self.seed}), "
            f"each played {played} with {what}; "
            f"{self._draws()}{self.truncated} ended by a limit.",
            f"Unreadable acts: A {_share(self.a)}, B {_share(self.b)}; "
            f"{self.clean_games} games had none.",
        ]
        return lines + self._verdict()

    def _draws(self) -> str:
        if not self.has_teams:
            return ""
        return f"{sum(rate.draws for rate in self.a.by_team.values())} without a winner, "

    def _verdict(self) -> list[str]:
        difference, settling = self.difference, self.settling
        if difference is None or settling is None:
            return []
        what = "win rate" if self.has_teams else "mean reward"
        test = "exact sign-flip test" if difference.exact else "sign-flip test"
        lines = [
            f"A minus B in {what}: {signed(difference)}, "
            f"p = {difference.p_value:.2g} ({test} over {difference.seeds} seeds)."
        ]
        if settling.settled:
            return [*lines, "That settles it."]
        if settling.games is None:
            return [*lines, f"Not settled; {settling.assumes}."]
        return [
            *lines,
            f"Not settled: {settling.more} games more, {settling.games} in all, would settle it "
            f"if {settling.assumes}.",
        ]


class Rating(msgspec.Struct, frozen=True):
    """One entrant's strength among all.

    Attributes:
        name: the entrant.
        elo: Bradley–Terry strength on Elo's scale, the mean of all being 0: 400 points
            more are odds of ten to one.
        low, high: percentile interval of it from a bootstrap over seeds.
        mu, sigma: rating by ``openskill`` (its Bradley–Terry model, full pairing), over
            the games in their order.
        nash: weight in the Nash average of the cross table, if asked for.
    """

    name: str
    elo: float
    low: float
    high: float
    mu: float
    sigma: float
    nash: float | None = None


class Tournament(msgspec.Struct, frozen=True):
    """All that a run found.

    Attributes:
        env, settings: the game.
        entrants: their names.
        matches: every two of them, in order: first with second, first with third, ….
        ratings: of more than two, strongest first.
        usage: what endpoints were asked, by entrant or judge, over all sessions of the run.
        seed: of the run.
    """

    env: str
    settings: dict[str, Any]
    entrants: tuple[str, ...]
    matches: tuple[ArenaResult, ...]
    ratings: tuple[Rating, ...] = ()
    usage: dict[str, Usage] = {}
    seed: int = 0

    def to_json(self) -> str:
        """The whole result as indented JSON."""
        return indented(self)

    @classmethod
    def from_json(cls, text: str | bytes) -> Tournament:
        """What :meth:`to_json` wrote.

        Raises:
            msgspec.ValidationError: it is something else.
        """
        return msgspec.json.decode(text, type=cls)

    def table(self) -> str:
        """What goes on a screen, as lines of plain text."""
        from omar_envs.arena.rendering import plain
        from omar_envs.arena.sections import sections

        return plain(sections(self, whole=False))

    def markdown(self) -> str:
        """All of it in Markdown, without a picture."""
        from omar_envs.arena.rendering import markdown
        from omar_envs.arena.sections import sections

        return markdown(sections(self, whole=True), " against ".join(self.entrants))

    def plot(self, path: str | Path) -> None:
        """Write a picture, in PNG.

        Raises:
            ConfigError: the name is none of a PNG, there is no such folder, or matplotlib
                is missing.
        """
        from omar_envs.arena.report import write_report

        if Path(path).suffix.lower() != ".png":
            raise ConfigError(f"a picture is a file in .png: got {path}")
        write_report(Path(path), self)

    def report(self, path: str | Path) -> list[Path]:
        """Write a page or a folder, as :func:`omar_envs.arena.report.write_report`."""
        from omar_envs.arena.report import write_report

        return write_report(Path(path), self)

    def match(self, a: str, b: str) -> ArenaResult:
        """The comparison of two entrants, as it was played: ``a`` may be its B.

        Raises:
            KeyError: these two did not meet.
        """
        for found in self.matches:
            if {found.a.name, found.b.name} == {a, b}:
                return found
        raise KeyError((a, b))

    def score(self, a: str, b: str) -> Score:
        """The score of ``a`` against ``b``.

        Raises:
            KeyError: these two did not meet.
        """
        found = self.match(a, b)
        return found.score if found.a.name == a else found.score_of_b


def indented(result: msgspec.Struct) -> str:
    """Any result as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(result), indent=2).decode("utf-8")


def signed(difference: Difference) -> str:
    """``+0.120 [+0.010, +0.230]``."""
    if difference.low is None or difference.high is None:
        return f"{difference.mean:+.3f}"
    return f"{difference.mean:+.3f} [{difference.low:+.3f}, {difference.high:+.3f}]"


def _share(entrant: Entrant) -> str:
    if not entrant.acts:
        return "no acts"
    return f"{entrant.invalid_acts / entrant.acts:.2%} of {entrant.acts}"
