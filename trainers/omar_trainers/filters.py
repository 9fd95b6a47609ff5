"""Which turns teach nothing: degenerate speech, found by rules or by a judge.

A dropped turn's tokens get advantage 0; its rewards still reach the turns before
it. Self-play rewards whatever wins, and a reward with a weakness is won by speech
that no reader would call speech: the filter takes such turns out of the gradient
(OMAR, Jiang et al., arXiv 2602.03109).

Only spoken acts that the environment could read are judged by rules. Choices are
held to their labels, and an invalid act is the environment's to fine.
"""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

import regex

from omar_envs.background import LoopThread
from omar_envs.errors import ConfigError
from omar_envs.judge import TurnQuality
from omar_envs.judge.asking import one_run
from omar_envs.metering import Usage
from omar_envs.types import SPEAK, Episode, Turn
from omar_trainers.shown.judge_usage import usage_between, usage_of

if TYPE_CHECKING:
    from omar_trainers.settings import SafetySettings

KEPT = ""
"""Reason of a turn that is learned from."""

EMPTY, CUT, LENGTH, SCRIPT = "empty", "cut", "length", "script"
REPETITION, COPYING, JUDGE = "repetition", "copying", "judge"

RULES = (EMPTY, CUT, LENGTH, SCRIPT, REPETITION, COPYING)
"""Reasons that rules have to drop a turn, in the order in which they are tried."""

LONGEST_WORD = 40
"""Longer runs of letters are read character by character: spaces left out hide nothing."""

Reasons = Mapping[str, tuple[str, ...]]
"""Per agent, one reason for each of its acts in order: :data:`KEPT`, or why it is dropped."""

CutTurns = Mapping[str, Collection[int]]
"""Per agent, those of its acts, counted from 0, whose reply the token limit cut."""

# Scripts that put no spaces between words.
_UNSPACED = "".join(
    rf"\p{{Script={name}}}"
    for name in ("Han", "Hiragana", "Katakana", "Thai", "Lao", "Khmer", "Myanmar", "Tibetan")
)
_RUN = regex.compile(rf"[{_UNSPACED}]\p{{M}}*|[\p{{L}}\p{{M}}\p{{N}}--[{_UNSPACED}]]+", regex.V1)
_LETTER = regex.compile(r"\p{L}")


@lru_cache(maxsize=8192)
def words(text: str) -> tuple[str, ...]:
    """The words of a text, without case and punctuation.

    Where a script has no spaces between words (Chinese, Japanese, Thai …) every
    character is a word, as in runs of more than :data:`LONGEST_WORD` letters.
    """
    found: list[str] = []
    for run in _RUN.findall(unicodedata.normalize("NFKC", text).casefold()):
        found += [run] if len(run) <= LONGEST_WORD else run
    return tuple(found)


class TurnRules(NamedTuple):
    """Bounds of the rules.

    Attributes:
        repetition: largest share of a speech's word trigrams that are repeats.
        copying: largest share of a speech's word trigrams that stand in one message
            which the seat had read, its own earlier ones included.
        words: longest speech in words; 0 sets no limit.
        script: Unicode script of at least half of the letters; None allows all.
    """

    repetition: float = 0.5
    copying: float = 0.8
    words: int = 0
    script: str | None = None


def check_script(name: str) -> None:
    """Refuse what is no Unicode script.

    Raises:
        ConfigError: it is none.
    """
    _letters_of(name)


def dropped_by_rules(episode: Episode, rules: TurnRules, cut: CutTurns | None = None) -> Reasons:
    """Judge every act of an episode by the rules.

    A speech of fewer than three words is neither repetition nor a copy. The record
    does not say whether a stage's agents spoke in turn or at once: what stands in
    the log before an agent's own words counts as read.

    Args:
        episode: finished.
        rules: the bounds.
        cut: acts whose reply the token limit cut.

    Raises:
        ConfigError: the rules name no Unicode script.
    """
    letters = None if rules.script is None else _letters_of(rules.script)
    heard = _Heard(episode)
    acts = dict.fromkeys((seat.agent for seat in episode.seats), 0)
    reasons: dict[str, list[str]] = {agent: [] for agent in acts}
    for turn in episode.turns:
        number = acts[turn.agent]
        acts[turn.agent] += 1
        is_cut = cut is not None and number in cut.get(turn.agent, ())
        reasons[turn.agent].append(_reason(turn, rules, letters, heard, is_cut=is_cut))
    return {agent: tuple(each) for agent, each in reasons.items()}


def repeated_speeches(episode: Episode) -> tuple[int, int]:
    """Speeches that say, word for word, what another one of the game says; and all speeches."""
    said = [words(turn.text) for turn in episode.turns if _is_speech(turn)]
    said = [speech for speech in said if speech]
    return sum(said.count(speech) > 1 for speech in said), len(said)


class FilteredTurns(NamedTuple):
    """What a filter says of some episodes.

    Attributes:
        reasons: per episode.
        tried: the reasons that the filter may give.
        speeches: spoken acts that were judged.
        unjudged: episodes on which no verdict came; all of their turns are kept.
        usage: what was asked of a judge for that, where it counts it.
    """

    reasons: list[Reasons]
    tried: tuple[str, ...]
    speeches: int
    unjudged: int = 0
    usage: Usage | None = None

    def counts(self) -> dict[str, int]:
        """How many acts each reason dropped, those that dropped none included."""
        counts = dict.fromkeys(self.tried, 0)
        for episode in self.reasons:
            for acts in episode.values():
                for reason in acts:
                    if reason != KEPT:
                        counts[reason] += 1
        return counts


class TurnFilter(Protocol):
    """Tells which turns of some episodes teach nothing."""

    def __call__(self, episodes: Sequence[Episode], cut: Sequence[CutTurns]) -> FilteredTurns:
        """One entry per episode; ``cut`` has one, too."""
        ...


class RuleFilter:
    """Drops what breaks a rule.

    Args:
        rules: the bounds.

    Raises:
        ConfigError: the rules name no Unicode script.
    """

    def __init__(self, rules: TurnRules) -> None:
        if rules.script is not None:
            check_script(rules.script)
        self._rules = rules

    def __call__(self, episodes: Sequence[Episode], cut: Sequence[CutTurns]) -> FilteredTurns:
        reasons = [
            dropped_by_rules(episode, self._rules, cut_turns)
            for episode, cut_turns in zip(episodes, cut, strict=True)
        ]
        return FilteredTurns(reasons, RULES, _num_speeches(episodes))


@runtime_checkable
class TurnJudge(Protocol):
    """A judge of single acts, such as :class:`omar_envs.judge.OpenAIJudge`."""

    async def judge_turns(self, episode: Episode) -> TurnQuality:
        """Tell sound acts from degenerate ones. Failures are results, not exceptions."""
        ...


class JudgeFilter:
    """Drops the speech that a judge calls degenerate.

    Where the judge fails, all turns of the episode are kept and the episode is
    counted. Its verdict on acts that could not be read is not asked for.

    Args:
        judge: of single acts.

    Raises:
        ConfigError: it does not judge single acts.
    """

    def __init__(self, judge: object) -> None:
        if not isinstance(judge, TurnJudge):
            what = "there is none" if judge is None else f"{type(judge).__name__} does not"
            raise ConfigError(
                "turn_filter judge needs a judge that can tell sound turns from degenerate ones "
                f"(judge_turns), and {what}: give the environment an OpenAIJudge, pass the trainer "
                "turn_judge=..., or set turn_filter to rules"
            )
        self._judge = judge

    def __call__(self, episodes: Sequence[Episode], cut: Sequence[CutTurns]) -> FilteredTurns:
        before = usage_of([self._judge])
        verdicts = self._ask(episodes)
        after = usage_of([self._judge])
        asked = None if before is None or after is None else usage_between(before, after)
        reasons = [
            _judged_reasons(episode, verdict)
            for episode, verdict in zip(episodes, verdicts, strict=True)
        ]
        unjudged = sum(verdict.status != "ok" for verdict in verdicts)
        return FilteredTurns(reasons, (JUDGE,), _num_speeches(episodes), unjudged, asked)

    def _ask(self, episodes: Sequence[Episode]) -> list[TurnQuality]:
        async def all_of_them() -> list[TurnQuality]:
            with one_run():
                return await asyncio.gather(*(self._judge.judge_turns(e) for e in episodes))

        thread = LoopThread()
        try:
            return thread.run(all_of_them())
        finally:
            thread.stop()


def _is_speech(turn: Turn) -> bool:
    return turn.request.kind is SPEAK and turn.valid


def make_turn_filter(settings: SafetySettings, judge: object) -> TurnFilter | None:
    """The filter that the settings name, None where they name none.

    Args:
        settings: of the run.
        judge: of single acts, where they name the judge.

    Raises:
        ConfigError: the judge does not judge single acts.
    """
    if settings.turn_filter == "none":
        return None
    if settings.turn_filter == "judge":
        return JudgeFilter(judge)
    return RuleFilter(
        TurnRules(
            repetition=settings.filter_repetition,
            copying=settings.filter_copying,
            words=settings.filter_words,
            script=settings.filter_script,
        )
    )


def _num_speeches(episodes: Sequence[Episode]) -> int:
    return sum(_is_speech(turn) for episode in episodes for turn in episode.turns)


def _reason(
    turn: Turn, rules: TurnRules, letters: regex.Pattern[str] | None, heard: _Heard, *, is_cut: bool
) -> str:
    if not _is_speech(turn) or (not turn.text and turn.request.may_pass):
        return KEPT
    if not any(character.isalnum() for character in turn.text):
        return EMPTY
    if is_cut:
        return CUT
    said = words(turn.text)
    if rules.words and len(said) > rules.words:
        return LENGTH
    if letters is not None:
        of_all = len(_LETTER.findall(turn.text))
        if 2 * len(letters.findall(turn.text)) < of_all:
            return SCRIPT
    grams = _trigrams(said)
    if not grams:
        return KEPT
    distinct = set(grams)
    if 1.0 - len(distinct) / len(grams) > rules.repetition:
        return REPETITION
    if any(
        sum(gram in known for gram in grams) / len(grams) > rules.copying
        for known in heard.before(turn)
    ):
        return COPYING
    return KEPT


def _judged_reasons(episode: Episode, verdict: TurnQuality) -> Reasons:
    reasons = {}
    for seat in episode.seats:
        acts = episode.turns_of(seat.agent)
        keep = [True] * len(acts) if verdict.keep is None else verdict.keep[seat.agent]
        reasons[seat.agent] = tuple(
            JUDGE if _is_speech(act) and not sound else KEPT
            for act, sound in zip(acts, keep, strict=True)
        )
    return reasons


class _Heard:
    """The log as sets of trigrams, each message cut up once."""

    def __init__(self, episode: Episode) -> None:
        self._messages = episode.messages
        self._grams = [_known_trigrams(message.text) for message in episode.messages]
        self._spoken = {
            (message.sender, message.turn): number
            for number, message in enumerate(episode.messages)
            if message.kind == "speech"
        }

    def before(self, turn: Turn) -> list[frozenset[tuple[str, ...]]]:
        """The messages that the agent had read when it spoke."""
        own = self._spoken.get((turn.agent, turn.turn))
        return [
            grams
            for number, (message, grams) in enumerate(zip(self._messages, self._grams, strict=True))
            if grams and message.visible_to(turn.agent)
            if (message.turn < turn.turn if own is None else number < own)
        ]


@lru_cache(maxsize=8192)
def _known_trigrams(text: str) -> frozenset[tuple[str, ...]]:
    return frozenset(_trigrams(words(text)))


def _trigrams(said: Sequence[str]) -> list[tuple[str, ...]]:
    return list(zip(said, islice(said, 1, None), islice(said, 2, None), strict=False))


def _letters_of(script: str) -> regex.Pattern[str]:
    try:
        if not script.replace("_", "").isalpha():
            raise ValueError(script)
        return regex.compile(rf"(?=\p{{L}})\p{{Script={script}}}")
    except (regex.error, ValueError):
        raise ConfigError(
            f"filter_script {script!r} is no Unicode script: name one as LATIN, CYRILLIC, HAN or "
            "ARABIC"
        ) from None
