"""The dataset card: what an export holds, under which licence, and how it was made."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from omar_envs.export.columns import COLUMNS, Format, yaml_features
from omar_envs.export.splits import SPLITS
from omar_envs.export.tally import Tally

_APACHE, _CC_BY, _OTHER = "apache-2.0", "cc-by-4.0", "other"
_CREDIT = '"omar-envs social scenarios, by the omar-envs authors, CC-BY-4.0"'

_ROW: dict[Format, str] = {
    "chat": "one seat's whole game as chat messages: what it read and what it said",
    "sharegpt": "one seat's whole game in ShareGPT's form",
    "sft": "one act of one seat: all that it had read and said before, and its reply",
    "preference": "two replies of one seat to the same prompt, the chosen one from a game that "
    "went better for it than the other, of the same deal",
    "textarena": "one game: logs, observations by player, steps, rewards, as TextArena has them",
    "episodes": "one whole game as omar-envs records it",
}

_MEANING = {
    "messages": "system, user and assistant; a reply stands as it was generated",
    "conversations": "`system`, `human` and `gpt`",
    "prompt": "all that the seat had read and said",
    "completion": "its reply, one assistant message",
    "chosen": "the reply of the better game",
    "rejected": "the reply of the other",
    "env": "environment of omar-envs",
    "env_id": "environment of omar-envs",
    "seed": "of the game; equal seeds and settings are equal deals",
    "episode": "number of the game among those exported from, from 0",
    "agent": "id of the seat",
    "name": "display name",
    "role": "empty where the game has none",
    "team": "empty where the game has none",
    "policy": "what played the seat, as recorded; empty if unknown",
    "result": "won, lost or drawn; empty where the game names no winner",
    "reward": "all that the seat was paid; null if a part, as a failed judgement, is unknown",
    "rewards": "the parts; an unknown one is null, not 0",
    "acts": "how often the seat acted",
    "invalid_acts": "how many of its replies could not be read",
    "truncated": "whether a limit ended the game",
    "act": "number of the act among the seat's own, from 0",
    "phase": "of the game",
    "request": "SPEAK or CHOOSE",
    "valid": "whether the game could read the reply",
    "chosen_episode": "number of the better game",
    "rejected_episode": "number of the other",
    "chosen_reward": "what the seat was paid there; null if unknown",
    "rejected_reward": "what the seat was paid there; null if unknown",
}

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


class Made(NamedTuple):
    """How an export was made.

    Attributes:
        version: of omar-envs.
        schema_version: of the episodes.
        sources: names of the files; none for episodes in memory.
        read: episodes gone through.
        filters: what was asked, by option.
        choices: other options that shape the rows, by name.
        dropped: of games, seats, acts or pairs, how many were left out, by reason.
        license: as the exporter says; None to go by the scenarios.
        as_folder: whether it is a folder of ``datasets``, not lines of JSON.
        files: of each split, where its rows are.
    """

    version: str
    schema_version: int
    sources: Sequence[str]
    read: int
    filters: Mapping[str, str]
    choices: Mapping[str, str]
    dropped: Mapping[str, Mapping[str, int]]
    license: str | None
    as_folder: bool
    files: Mapping[str, str]


def card_text(tally: Tally, made: Made, title: str, mark: str) -> str:
    """The card in Markdown, with front matter in YAML as the Hugging Face hub reads it."""
    sections = [
        "\n".join(_front_matter(tally, made, title)),
        f"{mark}\n\n# {title}",
        f"Games that language models or bots played, recorded by omar-envs. One row is "
        f"{_ROW[tally.format]}.",
        "## What it holds",
        _holds(tally),
        *_breakdowns(tally),
        "## Columns",
        _columns(tally.format),
        "## How to load it",
        _loading(tally.format, made),
        "## How it was made",
        _how(made),
        "## Licence",
        _licence(tally, made),
    ]
    return "\n\n".join(sections) + "\n"


def licenses(tally: Tally) -> list[str]:
    """Identifiers of the licences of the texts that the package and the scenarios brought.

    Werewolf's prompts are the package's own; the shipped scenarios have a licence of their
    own; of imported ones the licence is not known.
    """
    found = []
    if any(env != "sotopia_v0" for env in tally.envs):
        found.append(_APACHE)
    if tally.envs["sotopia_v0"] and not tally.imported:
        found.append(_CC_BY)
    if tally.imported:
        found.append(_OTHER)
    return found


def _front_matter(tally: Tally, made: Made, title: str) -> Iterator[str]:
    names = [made.license] if made.license else licenses(tally)
    yield "---"
    if _OTHER in names and len(names) > 1:
        names = [_OTHER]
    if len(names) == 1:
        yield f"license: {json.dumps(names[0])}"
    else:
        yield "license:"
        yield from (f"- {name}" for name in names)
    yield f"pretty_name: {json.dumps(title)}"
    yield "task_categories:"
    yield "- text-generation"
    yield "tags:"
    tags = ["omar-envs", "self-play", "multi-agent", "conversational"]
    yield from (f"- {tag}" for tag in [*tags, *sorted(e.removesuffix("_v0") for e in tally.envs)])
    yield "size_categories:"
    yield f"- {json.dumps(_size(tally.num_rows))}"
    if not made.as_folder:
        yield "configs:"
        yield "- config_name: default"
        yield "  data_files:"
        for split, file in made.files.items():
            yield f"  - split: {split}"
            yield f"    path: {json.dumps(file)}"
        yield "dataset_info:"
        yield "  config_name: default"
        yield "  features:"
        yield from yaml_features(tally.format, "  ")
    yield "---"


def _holds(tally: Tally) -> str:
    rows = [
        ("rows", tally.num_rows),
        ("games", tally.num_games),
        ("seats", tally.seats),
        ("acts of these seats", tally.acts),
        ("of which could not be read", tally.invalid_acts),
        ("characters in all rows", tally.characters),
        ("of which the seats wrote", tally.written_characters),
        ("games that a limit ended", tally.truncated),
        ("seats with an unknown reward", tally.unjudged),
    ]
    lines = [f"| {name} | {number:,} |" for name, number in rows]
    if judged := tally.seats - tally.unjudged:
        lines.append(f"| mean reward of the others | {tally.reward_sum / judged:.3f} |")
    return "\n".join(["| | |", "|---|---:|", *lines])


def _breakdowns(tally: Tally) -> Iterator[str]:
    splits = ["| split | rows | games | seeds |", "|---|---:|---:|---:|"]
    for split in SPLITS:
        if split in tally.games:
            games, seeds = len(tally.games[split]), len(tally.seeds[split])
            splits.append(f"| {split} | {tally.rows[split]:,} | {games:,} | {seeds:,} |")
    yield "\n".join(splits)
    yield (
        "A seed's split follows from the seed alone: all seats of a game, and all games of equal "
        "seed, are in the same one."
    )
    for name, counts in (
        ("environment", tally.envs),
        ("role", tally.roles),
        ("team", tally.teams),
        ("result", tally.results),
        ("policy", tally.policies),
    ):
        if counts.keys() - {""}:
            yield _table(f"{name}", "seats", counts)
    if tally.scenarios:
        yield _table("scenario", "games", tally.scenarios)


def _table(what: str, of: str, counts: Counter[str]) -> str:
    lines = [f"| {_cell(name) or '(none)'} | {count:,} |" for name, count in counts.most_common()]
    return "\n".join([f"| {what} | {of} |", "|---|---:|", *lines])


def _columns(format: Format) -> str:
    lines = [
        f"- `{name}`: {_MEANING[name]}" if name in _MEANING else f"- `{name}`"
        for name in COLUMNS[format]
    ]
    return "\n".join(lines)


def _loading(format: Format, made: Made) -> str:
    if made.as_folder:
        call = "datasets.load_from_disk(FOLDER)"
    elif len(made.files) == 1:
        (file,) = made.files.values()
        call = f'datasets.load_dataset("json", data_files={json.dumps(file)})'
    else:
        call = "datasets.load_dataset(FOLDER)"
    lines = ["```python", "import datasets", "", f"data = {call}", "```"]
    if format == "episodes":
        lines += [
            "",
            "`omar_envs.export.episodes_from_rows(data[split])` makes the recorded games again.",
        ]
    return "\n".join(lines)


def _how(made: Made) -> str:
    lines = [
        f"- omar-envs {made.version}, episodes of schema version {made.schema_version}",
        f"- {made.read:,} recorded games"
        + (f" in {', '.join(f'`{_cell(name)}`' for name in made.sources)}" if made.sources else ""),
        *(f"- {name}: {_cell(value)}" for name, value in made.choices.items()),
        "- asked of them: "
        + ("; ".join(f"{key} {_cell(value)}" for key, value in made.filters.items()) or "nothing"),
    ]
    for what, reasons in made.dropped.items():
        told = ", ".join(f"{count:,} {reason}" for reason, count in reasons.items())
        lines.append(f"- {what} left out: {told}")
    return "\n".join(lines)


def _licence(tally: Tally, made: Made) -> str:
    parts = []
    if made.license:
        parts.append(f"The exporter says: {_cell(made.license)}.")
    names = licenses(tally)
    if _APACHE in names:
        parts.append("The rules and prompts of Werewolf are omar-envs' own, under Apache-2.0.")
    if tally.envs["sotopia_v0"]:
        parts.append(
            "Scenarios and characters that come with omar-envs are under CC-BY-4.0; to give "
            f"credit, write: {_CREDIT}."
        )
    if _OTHER in names:
        sources = ", ".join(f"{_cell(name)} ({count:,} games)" for name, count in _sorted(tally))
        parts.append(
            "Other scenarios and characters were imported; their licence is that of where they "
            f"come from: {sources}. Find it out before you pass this on."
        )
    parts.append(
        "What was said was generated by the policies named above; the terms of those models hold "
        "for it as well."
    )
    return " ".join(parts)


def _sorted(tally: Tally) -> list[tuple[str, int]]:
    return sorted(tally.imported.items())


def _size(rows: int) -> str:
    return next((name for limit, name in _SIZES if rows < limit), "n>1M")


def _cell(text: str) -> str:
    """A text that somebody else chose, as part of a line of Markdown."""
    line = " ".join(text.split())
    return "".join(f"\\{char}" if char in r"\`*_[]<>|" else char for char in line)[:200]
