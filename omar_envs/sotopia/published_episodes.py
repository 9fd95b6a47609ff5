"""Published conversations (``sotopia_episodes_v1``) as Episodes.

They can be read, judged, measured and shown like any other, but not replayed: what the
environment was, and what its random numbers were, is not in the files. Their ``seed`` is
0, and their ``config`` holds only, as ``published``, where they come from, which models
played and how they were judged: an environment takes no such setting, and no judge is
shown it. The seats are ``agent_0``, ``agent_1``, … in the
order of ``social_goals``, which is that of ``agent_ids``.

The acts are taken from ``raw_messages`` where a row has them, and otherwise parsed from
the text of ``social_interactions``. Of the published rewards, ``judge`` is the overall
score; a bare 0 without any dimension is how SOTOPIA records a judgement that failed,
and becomes ``None``. Scores outside of SOTOPIA's ranges, and an overall score that is not
the mean of the others, are kept with a warning.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from omar_envs.errors import DamagedEpisodeError
from omar_envs.parsing import clean, single_line
from omar_envs.sotopia.acts import ACTION, LEAVE, NON_VERBAL, NONE, SPEAK, Act, to_text
from omar_envs.sotopia.published_rewards import read_reward
from omar_envs.sotopia.published_rows import FieldError, Fields, Problem, Row, read_rows, shown
from omar_envs.types import (
    SCHEMA_VERSION,
    Episode,
    Message,
    Request,
    RequestKind,
    Seat,
    StageRecord,
    Turn,
)

JUDGE = "judge"

_ENVIRONMENT = "Environment"
_REQUEST = Request(RequestKind.SPEAK, "", may_pass=True)
_LEFT = "left the conversation"
_MARKS = {NON_VERBAL: "[non-verbal]", ACTION: "[action]"}
_NOTHING = "did nothing"
_KINDS = rf"said\s*:\s*|\[{NON_VERBAL}\]|\[{ACTION}\]|{_LEFT}|{_NOTHING}"
_TURN = r"(?:Turn\s+#?\d+\s*:?[ \t]*\n?)?"


class _Act(NamedTuple):
    turn: int
    seat: int
    act: Act


class Imported(NamedTuple):
    """An episode, and what is to be known about its row."""

    episode: Episode
    warnings: tuple[Problem, ...]


def load_episodes(path: str | Path) -> Iterator[Episode]:
    """The episodes of a file one by one, so that a file of any length can be read.

    Raises:
        EpisodeError: the file cannot be opened.
        DamagedEpisodeError: a row cannot be read, or has the id of an earlier one; the
            message names file, line and field. :func:`omar_envs.sotopia.importer.load`
            skips such rows instead.
    """
    taken: set[str] = set()
    for row in read_rows(Path(path)):
        read = row if isinstance(row, Problem) else read_episode(row, taken)
        if isinstance(read, Problem):
            raise DamagedEpisodeError(
                f"{read}. Mend or delete that row, or take what else is in the file by "
                "omar_envs.sotopia.importer.load."
            )
        yield read.episode


def read_episode(row: Row, taken: set[str]) -> Imported | Problem:
    """One row as an episode, or why it is none.

    Args:
        row: the row.
        taken: ids of the episodes before it; its own one is added.
    """
    try:
        return _Reader(row).read(taken)
    except FieldError as error:
        return row.problem(error.field, error.why)


class _Reader:
    """Reads one row, and collects what its reader should know."""

    def __init__(self, row: Row) -> None:
        self._row = row
        self._fields = Fields(row)
        self._warnings: list[Problem] = []

    def read(self, taken: set[str]) -> Imported:
        fields = self._fields
        episode_id = fields.key("episode_id", "pk", default=self._row.key)
        if episode_id in taken:
            raise FieldError("episode_id", f"{episode_id!r} is taken by an earlier row")
        backgrounds = self._texts_by_name("agents_background")
        goals = self._texts_by_name("social_goals")
        names = tuple(goals or backgrounds)
        if len(names) < 2:
            raise FieldError("social_goals", f"it names {len(names)} participants, not 2 or more")
        if backgrounds and set(backgrounds) != set(names):
            raise FieldError("agents_background", "it names others than social_goals does")
        published = fields.texts("agent_ids", "agents")
        if published and len(published) != len(names):
            raise FieldError("agent_ids", f"{len(published)} agents, {len(names)} participants")
        agents = tuple(f"agent_{seat}" for seat in range(len(names)))
        acts = self._acts(names)
        rewards, dimensions = self._rewards(agents)
        models = fields.texts("experiment_model_name_pairs", "models")
        # The first model is the environment's own.
        policies = models[1:] if len(models) == len(names) + 1 else ("",) * len(names)
        stages = sorted({act.turn for act in acts})
        episode = Episode(
            schema_version=SCHEMA_VERSION,
            env="sotopia_v0",
            config={
                "published": {
                    "episode_id": episode_id,
                    "environment_id": fields.text("environment_id", "environment"),
                    "agent_ids": list(published),
                    "experiment_tag": fields.text("experiment_tag", "tag"),
                    "models": list(models),
                    "dimensions": dimensions,
                    "reasons": fields.text("reasoning"),
                }
            },
            seed=0,
            seats=tuple(
                Seat(agent, name, policy=policy)
                for agent, name, policy in zip(agents, names, policies, strict=True)
            ),
            stages=tuple(StageRecord(turn, "talk", f"Turn {turn + 1}") for turn in stages),
            messages=tuple(_messages(acts, agents)),
            turns=tuple(_turns(acts, agents, rewards)),
            rewards={agent: {JUDGE: rewards[agent]} for agent in agents},
            outcome={
                "reason": "imported",
                "setting": {
                    "codename": fields.text("codename"),
                    "scenario": fields.text("scenario"),
                    "participants": {
                        agent: _participant(name, backgrounds.get(name, ""), goals.get(name, ""))
                        for agent, name in zip(agents, names, strict=True)
                    },
                    "relationships": [],
                },
            },
            terminated=True,
            truncated=False,
        )
        taken.add(episode_id)
        return Imported(episode, tuple(self._warnings))

    def _warn(self, field: str, why: str) -> None:
        self._warnings.append(self._row.problem(field, why))

    def _texts_by_name(self, name: str) -> dict[str, str]:
        _, value = self._fields.given(name)
        if value is None:
            return {}
        if isinstance(value, dict):
            # Tables with one column for each name leave the absent ones empty.
            value = {key: text for key, text in value.items() if text is not None}
        if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
            raise FieldError(name, f"it must be texts by participant, not {shown(value)}")
        return {single_line(clean(key)): clean(text).strip() for key, text in value.items()}

    # --- acts -------------------------------------------------------------

    def _acts(self, names: Sequence[str]) -> list[_Act]:
        field, raw = self._fields.given("raw_messages", "messages")
        acts = [] if raw is None else self._acts_of_messages(field, raw, names)
        if acts:
            return acts
        text = self._fields.text("social_interactions")
        if not text:
            raise FieldError("social_interactions", f"it is missing, and {field} holds no act")
        if raw:
            self._warn(field, "it holds no act; social_interactions is read instead")
        return self._acts_of_text(text, names)

    def _acts_of_messages(self, field: str, raw: object, names: Sequence[str]) -> list[_Act]:
        if not isinstance(raw, list):
            raise FieldError(field, f"it must be a list of turns, not {shown(raw)}")
        turns = []
        for number, messages in enumerate(raw):
            where = f"{field}[{number}]"
            if not isinstance(messages, list):
                raise FieldError(where, f"it must be a list of messages, not {shown(messages)}")
            turns.append(
                [
                    _Act(number, *self._act_of_message(where, message, names))
                    for message in messages
                    if _is_act(where, message)
                ]
            )
        return _in_turn(turns, len(names))

    def _act_of_message(
        self, where: str, message: Sequence[str], names: Sequence[str]
    ) -> tuple[int, Act]:
        sender, _, content = (clean(part) for part in message)
        if sender not in names:
            raise FieldError(where, f"{shown(sender)} is no participant")
        act = _act(content)
        if act is None:
            self._warn(where, f"{shown(content)} is in no published form; kept as an action")
            act = Act(ACTION, single_line(content))
        return names.index(sender), act

    def _acts_of_text(self, text: str, names: Sequence[str]) -> list[_Act]:
        starts, quoted = _act_starts(text, names)
        if quoted:
            why = f"lines in a quote that read like acts: {quoted}; they are kept as speech"
            self._warn("social_interactions", why)
        if not starts:
            raise FieldError("social_interactions", "no act of a participant can be read in it")
        if text[: starts[0].start()].strip():
            self._warn("social_interactions", "what stands before the first act is left out")
        acts = []
        ends = [match.start() for match in starts[1:]] + [len(text)]
        for number, (match, end) in enumerate(zip(starts, ends, strict=True)):
            content = text[match.start("kind") : end].strip()
            act = _act(content)
            if act is None:
                raise FieldError("social_interactions", f"{shown(content)} is no act")
            if act.action_type == SPEAK and not _is_quoted(content):
                self._warn("social_interactions", f"{shown(content)} has no closing quote")
            acts.append(_Act(number, names.index(match["name"]), act))
        return acts

    # --- rewards ----------------------------------------------------------

    def _rewards(
        self, agents: Sequence[str]
    ) -> tuple[dict[str, float | None], dict[str, dict[str, float]]]:
        field, value = self._fields.given("rewards")
        raw_field, raw_value = self._fields.given("raw_rewards")
        if value is None:
            field, value = raw_field, raw_value
        rewards: dict[str, float | None] = dict.fromkeys(agents)
        dimensions: dict[str, dict[str, float]] = {agent: {} for agent in agents}
        if value is None:
            return rewards, dimensions
        if not isinstance(value, list) or len(value) != len(agents):
            self._warn(field, f"{len(agents)} participants, but {shown(value)}: left out")
            return rewards, dimensions
        for number, (agent, reward) in enumerate(zip(agents, value, strict=True)):
            place = f"{field}[{number}]"
            rewards[agent], dimensions[agent] = read_reward(reward, partial(self._warn, place))
        return rewards, dimensions


def _act(content: str) -> Act | None:
    """An act in the published words, without the name before them."""
    text = content.strip()
    if text.startswith(_NOTHING):
        return Act(NONE)
    if text.startswith(_LEFT):
        return Act(LEAVE)
    for kind in (NON_VERBAL, ACTION):
        if text.startswith(f"[{kind}]"):
            return Act(kind, single_line(text.removeprefix(f"[{kind}]")))
    said = re.match(r"said\s*:\s*", text)
    if said is None:
        return None
    speech = text[said.end() :].removeprefix('"')
    return Act(SPEAK, single_line(speech.removesuffix('"') if _is_quoted(text) else speech))


def _is_quoted(said: str) -> bool:
    """Whether the quote that begins after ``said:`` has ended; speech without one has."""
    speech = re.sub(r"^said\s*:\s*", "", said.strip())
    return not speech.startswith('"') or (len(speech) > 1 and speech.endswith('"'))


def _act_starts(text: str, names: Sequence[str]) -> tuple[list[re.Match[str]], int]:
    """Where acts begin: a name and one of the forms, at the start of a line.

    Returns:
        Those outside of quotes, and how many there are inside, where somebody tells
        what another one said or did.
    """
    known = "|".join(map(re.escape, names))
    start = re.compile(rf"^[ \t]*{_TURN}[ \t]*(?P<name>{known})\s*:?\s+(?P<kind>{_KINDS})", re.M)
    starts: list[re.Match[str]] = []
    quoted = 0
    for match in start.finditer(text):
        if not starts or _is_over(text[starts[-1].start("kind") : match.start()]):
            starts.append(match)
        else:
            quoted += 1
    return starts, quoted


def _is_over(content: str) -> bool:
    return not content.startswith("said") or _is_quoted(content)


def _is_act(where: str, message: object) -> bool:
    """Whether a message is a participant's; the environment's repeat what was done."""
    if (
        not isinstance(message, list)
        or len(message) != 3
        or not all(isinstance(part, str) for part in message)
    ):
        raise FieldError(where, f"{shown(message)} is not sender, receiver and content")
    return bool(message[0] != _ENVIRONMENT)


def _in_turn(turns: Sequence[Sequence[_Act]], num_seats: int) -> list[_Act]:
    """All acts in order, without the silence of those whose turn it was not.

    The files record that everybody else "did nothing" where one seat acts in each turn.
    """
    acts = [act for turn in turns for act in turn]
    if all(act.seat == act.turn % num_seats for act in acts if act.act.action_type != NONE):
        return [act for act in acts if act.seat == act.turn % num_seats]
    return acts


def _messages(acts: Sequence[_Act], agents: Sequence[str]) -> Iterator[Message]:
    for turn, seat, act in acts:
        if act.action_type == SPEAK and act.argument:
            yield Message(turn, agents[seat], None, "speech", act.argument)
        elif act.action_type == LEAVE:
            yield Message(turn, agents[seat], None, "action", "has left the conversation.")
        elif act.action_type in _MARKS:
            text = f"{_MARKS[act.action_type]} {act.argument}".strip()
            yield Message(turn, agents[seat], None, "action", text)


def _turns(
    acts: Sequence[_Act], agents: Sequence[str], rewards: dict[str, float | None]
) -> Iterator[Turn]:
    left = Counter(act.seat for act in acts)
    for turn, seat, act in acts:
        left[seat] -= 1
        agent = agents[seat]
        text = to_text(act)
        paid = rewards[agent] if not left[seat] else 0.0
        yield Turn(turn, agent, _REQUEST, text, text, True, "", {JUDGE: paid})


def _participant(name: str, background: str, goal: str) -> dict[str, str]:
    """What a judge is told of a participant; a published background ends with the secret."""
    words = name.split()
    secret = ""
    for count in range(len(words), 0, -1):
        mark = f"{' '.join(words[:count])}'s secrets:"
        if mark in background:
            background, _, secret = background.partition(mark)
            break
    return {
        "name": name,
        "background": background.strip(),
        "goal": goal,
        "secret": secret.strip(),
    }
