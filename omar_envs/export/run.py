"""Recorded games to a file or folder that other libraries read, with its card."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, get_args

from omar_envs.errors import ConfigError
from omar_envs.export import hub
from omar_envs.export.card import Made, card_text
from omar_envs.export.columns import FORMATS, Format
from omar_envs.export.filters import Filters
from omar_envs.export.gather import LeftOut, Progress, Wanted, gather
from omar_envs.export.judgements import Judgements
from omar_envs.export.names import check_known
from omar_envs.export.preference import MIN_GAP, check_filters
from omar_envs.export.sources import Episodes, Source, source_of
from omar_envs.export.splits import SPLITS, TRAIN, Splits
from omar_envs.export.tally import Tally
from omar_envs.export.target import LineWriter, Target
from omar_envs.transcript import StrPath
from omar_envs.types import SCHEMA_VERSION

Kind = Literal["chat", "sharegpt", "sft", "preference", "textarena", "datasets"]
"""What an export is: lines of JSON in a format, or a folder of ``datasets``."""

KINDS: tuple[str, ...] = get_args(Kind)


@dataclass(frozen=True)
class Exported:
    """What an export came to.

    Attributes:
        path: the file or folder.
        card: of the data set.
        rows: by split.
        games, seats, acts: in the rows.
        read: episodes gone through.
        dropped: of games, seats, acts or pairs, how many were left out, by reason.
        pushed: address on the hub, "" if it was not pushed.
    """

    path: Path
    card: Path
    rows: dict[str, int]
    games: int
    seats: int
    acts: int
    read: int
    dropped: dict[str, dict[str, int]]
    pushed: str = ""

    def to_json(self) -> dict[str, Any]:
        """In plain JSON types."""
        return {**asdict(self), "path": str(self.path), "card": str(self.card)}

    def text(self) -> str:
        """A few lines for people."""
        splits = ", ".join(f"{number:,} {split}" for split, number in self.rows.items())
        lines = [
            f"{sum(self.rows.values()):,} rows ({splits}) of {self.seats:,} seats in "
            f"{self.games:,} games in {self.path}",
        ]
        for kind, reasons in self.dropped.items():
            told = ", ".join(f"{count:,} {reason}" for reason, count in reasons.items())
            lines.append(f"{kind} left out: {told}")
        lines.append(f"what it is: {self.card}")
        if self.pushed:
            lines.append(f"pushed to {self.pushed}")
        return "\n".join(lines)


def export(
    episodes: Episodes,
    out: StrPath,
    format: Kind = "chat",
    *,
    rows: Format | None = None,
    filters: Filters | None = None,
    judgements: Sequence[StrPath] = (),
    strip_thinking: bool = False,
    ending: bool = True,
    min_gap: float | None = None,
    splits: Splits | None = None,
    license: str | None = None,
    push_to_hub: str | None = None,
    private: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Exported:
    """Write recorded games in another form, with a dataset card beside them.

    Files are gone through game by game; no more than one game is held at a time, for
    ``preference`` the games of one deal. Nothing is there until all is.

    Args:
        episodes: a file of JSON lines, several, a folder of them, or episodes.
        out: a name that ends in ``.jsonl`` is a file; else it is a folder with one file
            per split. The folder around it must exist.
        format: ``chat``, ``sharegpt``: one row per seat. ``sft``: one per act.
            ``preference``: one per pair of replies (:mod:`omar_envs.export.preference`).
            ``textarena``: one per game. ``datasets``: a folder for
            ``datasets.load_from_disk``, of ``rows``.
        rows: what the rows of ``datasets`` are: any of the above but itself, ``chat`` by
            default; or ``episodes``, from which the episodes come back.
        filters: which seats and acts; all by default.
        judgements: files of ``omar-envs judge`` over these episodes. What they pay becomes
            the component ``judge`` of the rewards, None where a judgement failed or is
            missing; filters and pairs go by it.
        strip_thinking: leave out private reasoning from the seats' own replies. It is
            never in another seat's row.
        ending: as in :func:`omar_envs.export.chat_row`, for ``chat`` and ``sharegpt``.
        min_gap: least difference of rewards that makes a pair where games have no winner;
            0.1 by default.
        splits: which share of the seeds is held back; none by default.
        license: identifier for the card; by default what the scenarios' licence is.
        push_to_hub: name of a repository on the Hugging Face hub to push to as well; only
            for ``datasets``. Without it nothing goes over the network.
        private: make that repository a private one.
        overwrite: replace a file, or a folder that is an earlier export.
        progress: called with the number of games that are done.

    Raises:
        ConfigError: an option is impossible or does not belong to the format, the place
            is taken or holds what is exported, a library is missing, or no row is left.
            Nothing was written.
        EpisodeError: an episode cannot be read, or does not replay.
    """
    filters = filters or Filters()
    splits = splits or Splits()
    target = Target(out, overwrite)
    target.check_apart(judgements)
    wanted = _wanted(format, rows, filters, strip_thinking, ending, min_gap)
    if judgements:
        wanted = wanted._replace(judgements=_judgements(judgements, wanted.format))
    _check_place(format, target, splits, push_to_hub, private)
    if push_to_hub is not None:
        hub.check_hub(push_to_hub)
    source = source_of(episodes)
    target.check_apart(source.files())
    tally, left_out = Tally(wanted.format), LeftOut()
    with target.staging() as staging:
        with LineWriter(staging) as writer:
            for found in gather(source, wanted, left_out, progress):
                split = splits.of(found.seed)
                if format == "datasets":
                    hub.check_seed(found.seed)
                for row in found.rows:
                    writer.write(split, row)
                tally.add_rows(split, found.rows)
                for number, episode, agents in found.games:
                    tally.add_game(split, number, episode, agents)
        if not tally.num_rows:
            raise ConfigError(_nothing(wanted, source, left_out))
        parts = [split for split in SPLITS if tally.rows[split]]
        if format == "datasets":
            hub.save(staging, {each: staging / f"{each}.jsonl" for each in parts}, wanted.format)
        card = card_text(
            tally,
            Made(
                version=_version(),
                schema_version=SCHEMA_VERSION,
                sources=tuple(file.name for file in source.files()),
                read=len(source),
                filters=filters.described(),
                choices=_choices(wanted),
                dropped=left_out.by_kind(),
                license=license,
                as_folder=format == "datasets",
                files={
                    each: target.path.name if target.is_file else f"{each}.jsonl" for each in parts
                },
            ),
            title=f"Recorded games, {wanted.format}",
            mark=target.mark,
        )
        place = target.card
        target.publish(staging, card)
    pushed = "" if push_to_hub is None else hub.push(target.path, push_to_hub, private=private)
    return Exported(
        path=target.path,
        card=place,
        rows={each: tally.rows[each] for each in parts},
        games=tally.num_games,
        seats=tally.seats,
        acts=tally.acts,
        read=len(source),
        dropped=left_out.by_kind(),
        pushed=pushed,
    )


def _wanted(
    format: Kind,
    rows: Format | None,
    filters: Filters,
    strip_thinking: bool,
    ending: bool,
    min_gap: float | None,
) -> Wanted:
    """What is asked of the rows, checked.

    Raises:
        ConfigError: an option is impossible, or does not belong to the format.
    """
    check_known("format", format, KINDS)
    if rows is not None and format != "datasets":
        raise ConfigError(f"rows is for the format datasets; {format} has rows of its own")
    kind: Format = (rows or "chat") if format == "datasets" else format
    check_known("rows", kind, FORMATS)
    if kind in ("textarena", "episodes"):
        filters.check_for_games()
    if kind == "preference":
        check_filters(filters)
    elif min_gap is not None:
        raise ConfigError(f"min_gap is for preference pairs, not for {kind}")
    if strip_thinking and kind == "episodes":
        raise ConfigError("whole episodes keep their private reasoning: they would not replay")
    if not ending and kind not in ("chat", "sharegpt"):
        raise ConfigError(f"only chat and sharegpt rows hold the game's ending, not {kind}")
    gap = MIN_GAP if min_gap is None else min_gap
    if not (gap >= 0 and math.isfinite(gap)):
        raise ConfigError(f"min_gap must be a finite number from 0: got {gap}")
    return Wanted(kind, filters, strip_thinking, ending, gap, None)


def _judgements(paths: Sequence[StrPath], kind: Format) -> Judgements:
    if kind == "episodes":
        raise ConfigError("whole episodes are kept as they are: leave out the judgements")
    return Judgements(paths)


def _check_place(
    format: Kind, target: Target, splits: Splits, push_to_hub: str | None, private: bool
) -> None:
    if target.is_file and format == "datasets":
        raise ConfigError(f"datasets are a folder: {target.path.name} names a file")
    if target.is_file and splits.names != (TRAIN,):
        raise ConfigError(
            f"{target.path.name} is one file, and {' and '.join(splits.names)} are several: name "
            "a folder"
        )
    if push_to_hub is not None and format != "datasets":
        raise ConfigError(f"push_to_hub is for the format datasets, not for {format}")
    if private and push_to_hub is None:
        raise ConfigError("private is about push_to_hub, which is not asked for")
    if format == "datasets":
        hub.need_datasets()


def _nothing(wanted: Wanted, source: Source, left_out: LeftOut) -> str:
    told = "; ".join(
        f"{kind}: {', '.join(f'{count:,} {reason}' for reason, count in reasons.items())}"
        for kind, reasons in left_out.by_kind().items()
    )
    text = f"no row is left of {len(source):,} games (left out {told or 'nothing'})"
    if wanted.format == "preference":
        return (
            f"{text}. A pair needs two games of equal environment, settings and seed: record them "
            "with one --seed and two policies"
        )
    return f"{text}: loosen the filters"


def _choices(wanted: Wanted) -> dict[str, str]:
    choices: dict[str, str] = {"rows": wanted.format}
    if wanted.format != "episodes":
        choices["private reasoning"] = "left out" if wanted.strip_thinking else "kept"
    if wanted.judgements is not None:
        choices["judgements"] = "made afterwards, in the reward"
    if not wanted.ending:
        choices["the game's last message"] = "left out"
    if wanted.format == "preference":
        choices["least difference of rewards"] = f"{wanted.min_gap:g}, where games have no winner"
    return choices


def _version() -> str:
    try:
        return version("omar-envs")
    except PackageNotFoundError:
        return "unknown"
