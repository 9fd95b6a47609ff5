"""SOTOPIA's published files, read into this project's types.

Three formats are known, and found by what stands in the files, not by their names:

- JSON lines: ``agent_profiles``, ``environment_profiles``, ``relationship_profiles`` and
  ``env_agent_combo_storages`` (Zhou et al., arXiv 2310.11667).
- JSON dictionaries of characters and of scenarios by ``pk``, a list of combinations
  (``pk``, ``env_id``, ``agent_ids``), and a list of indices into it: the hard ones.
- Conversations as in ``sotopia_episodes_v1``: :mod:`omar_envs.sotopia.published_episodes`.

To the scenarios of two sources whose points or friends can be read,
:mod:`omar_envs.sotopia.published_deals` adds an outcome that is computed, and with it the
acts that close a deal. ``load(path, outcomes=False)`` adds none, which keeps SOTOPIA's own
protocol, where only a judge scores.

Nothing is guessed and nothing is dropped in silence. A damaged row is refused, with its
file, line and field, and takes no other with it; what is odd but usable is loaded with a
warning.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from omar_envs.errors import ConfigError, DamagedEpisodeError, EpisodeError
from omar_envs.parsing import clean, single_line
from omar_envs.sotopia import published_deals, published_profiles
from omar_envs.sotopia.profiles import (
    AgentProfile,
    EnvAgentCombo,
    EnvironmentProfile,
    RelationshipProfile,
    ScenarioSet,
)
from omar_envs.sotopia.published_episodes import read_episode
from omar_envs.sotopia.published_rows import FieldError, Fields, Problem, Row, read_rows, shown
from omar_envs.types import Episode

AGENTS = "agent profiles"
ENVIRONMENTS = "environment profiles"
RELATIONSHIPS = "relationship profiles"
COMBOS = "combinations"
HARD = "hard combinations"
EPISODES = "episodes"

_SIGNATURES = (
    (EPISODES, ("social_interactions", "raw_messages", "social_goals")),
    (COMBOS, ("agent_ids",)),
    (RELATIONSHIPS, ("agent_1_id", "agent1_id", "background_story")),
    (ENVIRONMENTS, ("agent_goals", "scenario")),
    (AGENTS, ("first_name", "personality_and_values")),
)
"""Fields that tell what a row is, in the order in which to look for them."""

_NAMES = (
    ("episode", EPISODES),
    ("hard", HARD),
    ("combo", COMBOS),
    ("relationship", RELATIONSHIPS),
    ("env", ENVIRONMENTS),
    ("agent", AGENTS),
)
"""What a file's name tells where its rows do not."""

_SET = (
    "a JSON file of scenarios as omar-envs sotopia import FOLDER --out FILE.json makes it of "
    "published files"
)


class Imported(NamedTuple):
    """What a file or a folder held.

    Attributes:
        scenarios: all but the episodes; every reference in ``combos`` and ``hard``
            leads somewhere, unless the files that it leads to were not there.
        episodes: in the order of their files.
        warnings: what is odd about rows that were loaded.
        refused: the rows that were not, with why.
    """

    scenarios: ScenarioSet
    episodes: tuple[Episode, ...]
    warnings: tuple[Problem, ...]
    refused: tuple[Problem, ...]


def load(path: str | Path, *, outcomes: bool = True) -> Imported:
    """Read a published file, or all that a folder holds.

    Args:
        path: a file, or a folder whose ``.json`` and ``.jsonl`` files, in letters of
            either case, are read in any order. What stands in its folders is not.
        outcomes: whether scenarios get the outcome that can be computed from their
            text; without, all are left to a judge, as SOTOPIA has them.

    Raises:
        EpisodeError: it cannot be opened.
        DamagedEpisodeError: a file is not JSON at all.
        ConfigError: it holds nothing that SOTOPIA publishes.
    """
    path = Path(path)
    importer = _Importer(outcomes)
    if path.is_dir():
        for file in sorted(path.iterdir()):
            if file.suffix.lower() in (".json", ".jsonl") and not file.is_dir():
                importer.read_if_published(file)
    else:
        importer.read(path, _kind(path))
    if not importer.has_read:
        raise ConfigError(
            f"{path} holds nothing that SOTOPIA publishes: name a file of agent, environment or "
            "relationship profiles, of combinations or of episodes (.json or .jsonl), or the "
            "folder of such files"
        )
    return importer.result()


def encode(scenarios: ScenarioSet) -> bytes:
    """A set of scenarios as JSON, the same bytes for equal sets; :func:`read` reads it."""
    return msgspec.json.format(msgspec.json.encode(scenarios), indent=1) + b"\n"


def read(path: str | Path) -> ScenarioSet:
    """Read what :func:`encode` made and ``omar-envs sotopia import --out`` wrote.

    Raises:
        EpisodeError: the file cannot be opened.
        ConfigError: it holds no set of scenarios, or one that contradicts itself. Either
            message is one line, and says what the file must be.
    """
    try:
        data = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise EpisodeError(
            single_line(clean(f"{path} cannot be read: {why}. Name {_SET}."))
        ) from error
    try:
        scenarios = msgspec.json.decode(data, type=ScenarioSet)
        _check_references(scenarios)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise ConfigError(
            single_line(clean(f"{path} holds no set of scenarios ({error}): name {_SET}"))
        ) from None
    return scenarios


def _check_references(scenarios: ScenarioSet) -> None:
    """Hold the set to what :func:`load` promises of it; ``ValueError`` says what is wrong."""
    for known in (scenarios.agents, scenarios.environments):
        for key, each in known.items():
            if key != each.pk:
                raise ValueError(f"{key!r} is the key of a profile whose pk is {each.pk!r}")
    for combo in scenarios.combos:
        for agent in combo.agent_ids:
            if scenarios.agents and agent not in scenarios.agents:
                raise ValueError(f"combination {combo.pk!r} names {agent!r}, who is not in it")


def _kind(path: Path) -> str | None:
    """What a file holds: told by the first of its rows that tells, else by its name."""
    numbers = False
    for row in read_rows(path):
        if isinstance(row, Row) and isinstance(row.value, dict):
            for kind, fields in _SIGNATURES:
                if any(field in row.value for field in fields):
                    return kind
        numbers = numbers or (isinstance(row, Row) and isinstance(row.value, int))
    return HARD if numbers else _kind_by_name(path)


def _kind_by_name(path: Path) -> str | None:
    stem = path.stem.lower()
    return next((kind for word, kind in _NAMES if word in stem), None)


class _Importer:
    """Reads file after file, and settles what refers to what at the end."""

    def __init__(self, outcomes: bool) -> None:
        self.has_read = False
        self._outcomes = outcomes
        self._agents: dict[str, AgentProfile] = {}
        self._environments: dict[str, EnvironmentProfile] = {}
        self._relationships: dict[str, tuple[Row, RelationshipProfile]] = {}
        self._combos: dict[str, tuple[Row, EnvAgentCombo]] = {}
        self._combo_lists: list[list[str]] = []
        self._hard: list[Row] = []
        self._episodes: list[Episode] = []
        self._episode_ids: set[str] = set()
        self._warnings: list[Problem] = []
        self._refused: list[Problem] = []
        self._kinds: set[str] = set()

    def read_if_published(self, path: Path) -> None:
        """Read one file of a folder, which may hold others, too."""
        try:
            kind = _kind(path)
        except DamagedEpisodeError:
            if _kind_by_name(path) is not None:
                raise
            kind = None
        if kind is None:
            why = "it holds nothing that SOTOPIA publishes; left out"
            self._warnings.append(Problem(path.name, "", "", why))
        else:
            self.read(path, kind)

    def read(self, path: Path, kind: str | None) -> None:
        """Read one file."""
        if kind is None:
            return
        self.has_read = True
        self._kinds.add(kind)
        ignored: Counter[str] = Counter()
        listed: list[str] = []
        for row in read_rows(path):
            if isinstance(row, Problem):
                self._refused.append(row)
                pk = ""
            else:
                pk = self._take(row, kind, ignored)
            listed.append(pk)
        if kind == COMBOS and listed:
            self._combo_lists.append(listed)
        if ignored:
            names = ", ".join(f"{name} ({count})" for name, count in sorted(ignored.items()))
            self._warnings.append(Problem(path.name, "", "", f"fields that are not read: {names}"))

    def _take(self, row: Row, kind: str, ignored: Counter[str]) -> str:
        """Take one row in; return its key, "" if it was refused or has none."""
        if kind == HARD:
            self._hard.append(row)
            return ""
        if kind == EPISODES:
            self._take_episode(row)
            return ""
        try:
            fields = Fields(row)
            pk = self._take_profile(row, kind, fields)
        except FieldError as error:
            self._refused.append(row.problem(error.field, error.why))
            return ""
        ignored.update(fields.unread)
        return pk

    def _take_profile(self, row: Row, kind: str, fields: Fields) -> str:
        if kind == AGENTS:
            agent = published_profiles.agent(row, fields)
            _add(self._agents, agent.pk, agent)
            return agent.pk
        if kind == ENVIRONMENTS:
            environment = self._environment(row, fields)
            _add(self._environments, environment.pk, environment)
            return environment.pk
        if kind == RELATIONSHIPS:
            relationship = published_profiles.relationship(row, fields)
            _add(self._relationships, relationship.pk, (row, relationship))
            return relationship.pk
        combo = published_profiles.combo(row, fields)
        _add(self._combos, combo.pk, (row, combo))
        return combo.pk

    def _take_episode(self, row: Row) -> None:
        read = read_episode(row, self._episode_ids)
        if isinstance(read, Problem):
            self._refused.append(read)
        else:
            self._episodes.append(read.episode)
            self._warnings.extend(read.warnings)

    def _environment(self, row: Row, fields: Fields) -> EnvironmentProfile:
        profile = published_profiles.environment(row, fields)
        if not self._outcomes or profile.source not in published_deals.SOURCES:
            return profile
        recognised = published_deals.recognise(profile)
        if recognised.outcome is None:
            why = f"its result cannot be computed and is left to a judge: {recognised.note}"
            self._warnings.append(row.problem("agent_goals", why))
        return msgspec.structs.replace(profile, outcome=recognised.outcome)

    # --- what refers to what ----------------------------------------------

    def result(self) -> Imported:
        """Everything read so far."""
        relationships = self._checked_relationships()
        combos = self._checked_combos()
        self._check_casts(combos, relationships)
        scenarios = ScenarioSet(
            agents=self._agents,
            environments=self._environments,
            relationships=tuple(relationship for _, relationship in relationships),
            combos=tuple(combo for _, combo in combos),
            hard=self._checked_hard({combo.pk for _, combo in combos}),
        )
        return Imported(
            scenarios, tuple(self._episodes), tuple(self._warnings), tuple(self._refused)
        )

    def _checked_relationships(self) -> list[tuple[Row, RelationshipProfile]]:
        latest: dict[frozenset[str], Row] = {}
        for row, relationship in self._relationships.values():
            pair = frozenset((relationship.agent_1_id, relationship.agent_2_id))
            for agent in sorted(pair):
                if AGENTS in self._kinds and agent not in self._agents:
                    self._warnings.append(row.problem("", f"{agent!r} is no agent of this set"))
            earlier = latest.get(pair)
            if earlier is not None:
                why = f"the same pair as {earlier.file}:{earlier.where}; both are kept"
                self._warnings.append(row.problem("", why))
            latest[pair] = row
        return list(self._relationships.values())

    def _checked_combos(self) -> list[tuple[Row, EnvAgentCombo]]:
        if self._combos and not {AGENTS, ENVIRONMENTS} <= self._kinds:
            why = "combinations are not checked: agent or environment profiles are not beside them"
            self._warnings.append(Problem(self._combo_row().file, "", "", why))
        sound = []
        for row, combo in self._combos.values():
            field, why = self._combo_problem(combo)
            if why:
                self._refused.append(row.problem(field, why))
            else:
                sound.append((row, combo))
        return sound

    def _combo_row(self) -> Row:
        return next(iter(self._combos.values()))[0]

    def _combo_problem(self, combo: EnvAgentCombo) -> tuple[str, str]:
        environment = self._environments.get(combo.env_id)
        if environment is None and ENVIRONMENTS in self._kinds:
            return "env_id", f"{combo.env_id!r} is no environment of this set"
        if environment is not None and len(combo.agent_ids) != environment.num_agents:
            return "agent_ids", (
                f"{len(combo.agent_ids)} agents for the {environment.num_agents} goals of "
                f"{combo.env_id!r}"
            )
        for agent in combo.agent_ids:
            if AGENTS in self._kinds and agent not in self._agents:
                return "agent_ids", f"{agent!r} is no agent of this set"
        return "", ""

    def _check_casts(
        self,
        combos: Iterable[tuple[Row, EnvAgentCombo]],
        relationships: Iterable[tuple[Row, RelationshipProfile]],
    ) -> None:
        """Say which casts are related otherwise than their scenario has it.

        The last profile of a pair counts, as it does in a table by pair.
        """
        if RELATIONSHIPS not in self._kinds:
            return
        known = {
            frozenset((each.agent_1_id, each.agent_2_id)): (row, each.relationship)
            for row, each in relationships
        }
        for row, combo in combos:
            environment = self._environments.get(combo.env_id)
            if environment is None:
                continue
            for pair in map(frozenset, combinations(combo.agent_ids, 2)):
                found, own = known.get(pair, (None, None))
                if own != environment.relationship:
                    named = (
                        f"{found.file}:{found.where} says {own.name}"
                        if found is not None and own is not None
                        else "no relationship profile names the pair"
                    )
                    why = f"the scenario is for {environment.relationship.name}, but {named}"
                    self._warnings.append(row.problem("agent_ids", why))
                    break

    def _checked_hard(self, combos: set[str]) -> tuple[str, ...]:
        hard: dict[str, None] = {}
        for row in self._hard:
            try:
                pk = self._hard_key(row.value, combos)
                if pk in hard:
                    raise FieldError("", f"{pk!r} is named twice")
            except FieldError as error:
                self._refused.append(row.problem(error.field, error.why))
            else:
                hard[pk] = None
        return tuple(hard)

    def _hard_key(self, value: object, combos: set[str]) -> str:
        if isinstance(value, str) and (value in combos or value in self._environments):
            return value
        if not isinstance(value, int) or isinstance(value, bool):
            raise FieldError("", f"{shown(value)} is no index and no key of a combination")
        if len(self._combo_lists) != 1:
            why = f"an index needs one file of combinations beside it, not {len(self._combo_lists)}"
            raise FieldError("", why)
        (listed,) = self._combo_lists
        if not 0 <= value < len(listed):
            raise FieldError(
                "", f"there is no combination {value}: they are 0 to {len(listed) - 1}"
            )
        if listed[value] not in combos:
            raise FieldError("", f"combination {value} was refused")
        return listed[value]


def _add(known: dict[str, Any], pk: str, value: object) -> None:
    if pk in known:
        raise FieldError("pk", f"{pk!r} is taken by an earlier row")
    known[pk] = value
