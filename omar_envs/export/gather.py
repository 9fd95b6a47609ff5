"""Episodes to rows: what each game, or each deal of several games, gives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from omar_envs.errors import ConfigError, EpisodeError
from omar_envs.export.columns import Format
from omar_envs.export.episodes import episode_row
from omar_envs.export.filters import KEPT, Filters
from omar_envs.export.judgements import Judgements
from omar_envs.export.names import check_known
from omar_envs.export.preference import deal_pairs, deals
from omar_envs.export.rows import Row, chat_row, sft_row, sharegpt_row
from omar_envs.export.seats import PlayedSeat, played_seats, without_thinking
from omar_envs.export.sources import Source
from omar_envs.export.textarena import textarena_row
from omar_envs.types import Episode

Progress = Callable[[int], None]


class Wanted(NamedTuple):
    """What rows are made of the episodes.

    Attributes:
        format: what a row is.
        filters: which seats and acts.
        strip_thinking: without private reasoning in the seat's own replies.
        ending: as in :func:`omar_envs.export.chat_row`.
        min_gap: as in :mod:`omar_envs.export.preference`.
        judgements: made afterwards, if any.
    """

    format: Format
    filters: Filters
    strip_thinking: bool
    ending: bool
    min_gap: float
    judgements: Judgements | None


class Rows(NamedTuple):
    """Rows of one seed, and the games that they come from with the seats in them."""

    seed: int
    rows: list[Row]
    games: list[tuple[int, Episode, list[str]]]


@dataclass
class LeftOut:
    """How many games, seats, acts and pairs were left out, by reason."""

    games: Counter[str] = field(default_factory=Counter)
    seats: Counter[str] = field(default_factory=Counter)
    acts: Counter[str] = field(default_factory=Counter)
    pairs: Counter[str] = field(default_factory=Counter)

    def by_kind(self) -> dict[str, dict[str, int]]:
        """The kinds of which some were left out."""
        kinds = {"games": self.games, "seats": self.seats, "acts": self.acts, "pairs": self.pairs}
        return {kind: dict(counts.most_common()) for kind, counts in kinds.items() if counts}


def gather(
    source: Source, wanted: Wanted, left_out: LeftOut, progress: Progress | None
) -> Iterator[Rows]:
    """The rows of all episodes, in order; those of pairs in the order of their deals.

    Args:
        source: the episodes.
        wanted: what of them.
        left_out: counts what gives no row.
        progress: called with the number of games that are done.

    Raises:
        ConfigError: a filter names a role, team, seat or policy that no game has, or the
            judgements are of other episodes.
        EpisodeError: an episode cannot be read, or does not replay.
    """
    names = _Names()
    if wanted.format == "preference":
        yield from _by_deal(source, wanted, left_out, names, progress)
    else:
        yield from _by_game(source, wanted, left_out, names, progress)
    names.check(wanted.filters)
    if wanted.judgements is not None:
        wanted.judgements.check()


def _by_game(
    source: Source, wanted: Wanted, left_out: LeftOut, names: _Names, progress: Progress | None
) -> Iterator[Rows]:
    whole = wanted.format in ("textarena", "episodes")
    for number, recorded in enumerate(source):
        episode = _judged(source, number, recorded, wanted)
        names.see(episode)
        filters = wanted.filters
        reason = filters.whole_game_reason(episode) if whole else filters.game_reason(episode)
        if reason:
            left_out.games[reason] += 1
        elif whole:
            row = _game_row(source, number, episode, wanted)
            agents = [seat.agent for seat in episode.seats]
            yield Rows(episode.seed, [row], [(number, episode, agents)])
        else:
            yield _seat_rows(_seats(source, number, episode, wanted), wanted, left_out)
        if progress is not None:
            progress(number + 1)


def _game_row(source: Source, number: int, episode: Episode, wanted: Wanted) -> Row:
    if wanted.format == "textarena":
        return textarena_row(_seats(source, number, episode, wanted))
    try:
        return episode_row(episode)
    except EpisodeError as error:
        raise EpisodeError(f"{source.where(number)}: {error}") from error


def _seat_rows(seats: Sequence[PlayedSeat], wanted: Wanted, left_out: LeftOut) -> Rows:
    """Rows of the seats of one game, whole seats or their single acts."""
    rows: list[Row] = []
    agents: list[str] = []
    by_act = wanted.filters.act_reasons(seats)
    for seat in seats:
        reason = wanted.filters.seat_reason(seat)
        acts = by_act[seat.agent]
        if wanted.format != "sft":
            reason = reason or next(filter(None, acts), KEPT)
        if reason:
            left_out.seats[reason] += 1
            continue
        made = _sft_rows(seat, acts, left_out) if wanted.format == "sft" else [_row(seat, wanted)]
        if made:
            rows += made
            agents.append(seat.agent)
        else:
            left_out.seats["no_act"] += 1
    episode = seats[0].episode
    return Rows(episode.seed, rows, [(seats[0].number, episode, agents)] if agents else [])


def _row(seat: PlayedSeat, wanted: Wanted) -> Row:
    make = chat_row if wanted.format == "chat" else sharegpt_row
    return make(seat, ending=wanted.ending)


def _sft_rows(seat: PlayedSeat, reasons: Sequence[str], left_out: LeftOut) -> list[Row]:
    rows = []
    for act, why in enumerate(reasons):
        row = sft_row(seat, act)
        reason = why or (KEPT if row["completion"][0]["content"] else "empty")
        if reason:
            left_out.acts[reason] += 1
        else:
            rows.append(row)
    return rows


def _by_deal(
    source: Source, wanted: Wanted, left_out: LeftOut, names: _Names, progress: Progress | None
) -> Iterator[Rows]:
    filters = wanted.filters
    of_seats = replace(filters, min_reward=None, valid=False, turn_rule=None)
    done = 0
    for numbers in deals(iter(source)).values():
        played: list[list[PlayedSeat]] = []
        for number in numbers:
            episode = _judged(source, number, source.at(number), wanted)
            names.see(episode)
            reason = filters.game_reason(episode) or (KEPT if len(numbers) > 1 else "alone")
            if reason:
                left_out.games[reason] += 1
                continue
            seats = []
            for seat in _seats(source, number, episode, wanted):
                why = of_seats.seat_reason(seat)
                if why:
                    left_out.seats[why] += 1
                else:
                    seats.append(seat)
            played.append(seats)
        deal = deal_pairs(played, filters, wanted.min_gap)
        left_out.pairs.update(deal.dropped)
        if deal.rows:
            yield _pairs(deal.rows, played)
        done += len(numbers)
        if progress is not None:
            progress(done)


def _pairs(rows: list[Row], played: Sequence[Sequence[PlayedSeat]]) -> Rows:
    used = {
        (row[name], row["agent"]) for row in rows for name in ("chosen_episode", "rejected_episode")
    }
    games = []
    for seats in played:
        agents = [seat.agent for seat in seats if (seat.number, seat.agent) in used]
        if agents:
            games.append((seats[0].number, seats[0].episode, agents))
    return Rows(rows[0]["seed"], rows, games)


def _judged(source: Source, number: int, episode: Episode, wanted: Wanted) -> Episode:
    if wanted.judgements is None:
        return episode
    try:
        return wanted.judgements.applied(episode)
    except EpisodeError as error:
        raise EpisodeError(f"{source.where(number)}: {error}") from error


def _seats(source: Source, number: int, episode: Episode, wanted: Wanted) -> list[PlayedSeat]:
    try:
        seats = played_seats(episode, number)
    except (ConfigError, EpisodeError) as error:
        raise EpisodeError(f"{source.where(number)} cannot be exported: {error}") from error
    return [without_thinking(seat) for seat in seats] if wanted.strip_thinking else list(seats)


class _Names:
    """What seats are called in the games gone through."""

    def __init__(self) -> None:
        self._found: dict[str, set[str]] = {"role": set(), "team": set(), "policy": set()}
        self._most_seats = 0

    def see(self, episode: Episode) -> None:
        """Take in a game."""
        self._most_seats = max(self._most_seats, len(episode.seats))
        self._found["role"].update(seat.role for seat in episode.seats if seat.role is not None)
        self._found["team"].update(filter(None, episode.outcome.get("teams", {}).values()))
        self._found["policy"].update(seat.policy for seat in episode.seats)

    def check(self, filters: Filters) -> None:
        """Refuse names that no game has.

        Raises:
            ConfigError: there is one.
        """
        for what, asked in (
            ("role", filters.roles),
            ("team", filters.teams),
            ("policy", filters.policies),
        ):
            for name in asked:
                check_known(f"{what} in these games", name, sorted(self._found[what]))
        for seat in filters.seats:
            if seat >= self._most_seats:
                raise ConfigError(
                    f"no game has a seat {seat}: they have seats 0 to {self._most_seats - 1}"
                )
