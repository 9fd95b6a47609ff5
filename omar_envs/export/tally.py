"""What an export holds, counted while it is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from omar_envs.export.columns import Format
from omar_envs.export.rows import Row
from omar_envs.export.seats import result_of
from omar_envs.types import Episode


@dataclass
class Tally:
    """Counts over what was written; ``rows``, ``games`` and ``seeds`` by split.

    Attributes:
        format: what one row is.
        seats: seats that are in some row, or all seats of a game that is one.
        acts, invalid_acts: made by those seats in their games.
        characters: of all text in the rows, and of what the seats themselves wrote there.
        envs, roles, teams, results, policies: seats by each.
        truncated: games that a limit ended.
        unjudged: seats with a reward that could not be determined.
        scenarios: names of the scenarios, where a game has one.
        imported: sources of scenarios and characters that do not come with the package.
    """

    format: Format
    rows: Counter[str] = field(default_factory=Counter)
    games: dict[str, set[int]] = field(default_factory=dict)
    seeds: dict[str, set[int]] = field(default_factory=dict)
    seats: int = 0
    acts: int = 0
    invalid_acts: int = 0
    characters: int = 0
    written_characters: int = 0
    envs: Counter[str] = field(default_factory=Counter)
    roles: Counter[str] = field(default_factory=Counter)
    teams: Counter[str] = field(default_factory=Counter)
    results: Counter[str] = field(default_factory=Counter)
    policies: Counter[str] = field(default_factory=Counter)
    truncated: int = 0
    unjudged: int = 0
    reward_sum: float = 0.0
    scenarios: Counter[str] = field(default_factory=Counter)
    imported: Counter[str] = field(default_factory=Counter)

    def add_rows(self, split: str, rows: Iterable[Row]) -> None:
        """Count rows."""
        for row in rows:
            self.rows[split] += 1
            read, written = _characters(self.format, row)
            self.characters += read + written
            self.written_characters += written

    def add_game(self, split: str, number: int, episode: Episode, agents: Iterable[str]) -> None:
        """Count a game of which rows were written, and its seats that are in them."""
        self.games.setdefault(split, set()).add(number)
        self.seeds.setdefault(split, set()).add(episode.seed)
        self.truncated += episode.truncated
        if scenario := episode.outcome.get("setting", {}).get("codename"):
            self.scenarios[str(scenario)] += 1
        self.imported.update(set(_imported(episode.config)))
        for agent in agents:
            self._add_seat(episode, agent)

    @property
    def num_games(self) -> int:
        """Games over all splits."""
        return sum(map(len, self.games.values()))

    @property
    def num_rows(self) -> int:
        """Rows over all splits."""
        return self.rows.total()

    def _add_seat(self, episode: Episode, agent: str) -> None:
        seat = next(seat for seat in episode.seats if seat.agent == agent)
        turns = episode.turns_of(agent)
        self.seats += 1
        self.acts += len(turns)
        self.invalid_acts += sum(not turn.valid for turn in turns)
        self.envs[episode.env] += 1
        self.roles[seat.role or ""] += 1
        self.teams[str(episode.outcome.get("teams", {}).get(agent, ""))] += 1
        self.results[result_of(episode, agent)] += 1
        self.policies[seat.policy] += 1
        if None in episode.rewards[agent].values():
            self.unjudged += 1
        else:
            self.reward_sum += episode.total_reward(agent)


def _characters(format: Format, row: Row) -> tuple[int, int]:
    """Characters in a row: what was read, what a seat wrote."""
    match format:
        case "chat":
            return _by_role(row["messages"])
        case "sharegpt":
            texts = row["conversations"]
            written = sum(len(part["value"]) for part in texts if part["from"] == "gpt")
            return sum(len(part["value"]) for part in texts) - written, written
        case "sft":
            return _length(row["prompt"]), _length(row["completion"])
        case "preference":
            written = _length(row["chosen"]) + _length(row["rejected"])
            return _length(row["prompt"]), written
        case "textarena":
            seen = (entry for each in row["observations"] for entry in each["observation"])
            written = sum(len(step["action"]) for step in row["steps"])
            return sum(len(entry["message"]) for entry in seen), written
        case "episodes":
            written = sum(len(turn["reply"]) for turn in row["turns"])
            return sum(len(message["text"]) for message in row["messages"]), written


def _by_role(messages: Iterable[Mapping[str, str]]) -> tuple[int, int]:
    lengths: Counter[bool] = Counter()
    for message in messages:
        lengths[message["role"] == "assistant"] += len(message["content"])
    return lengths[False], lengths[True]


def _length(messages: Iterable[Mapping[str, str]]) -> int:
    return sum(len(message["content"]) for message in messages)


def _imported(config: Mapping[str, Any]) -> Iterator[str]:
    """Sources of the scenario and characters that stand in full in a game's settings."""
    if "published" in config:
        yield "published conversations"
    for name in ("scenario", "agents"):
        value = config.get(name)
        for profile in value if isinstance(value, list) else [value]:
            if isinstance(profile, Mapping):
                yield str(profile.get("source") or "unnamed")
