"""Measures of how players talk, and of replies that could not be read.

"Speech" is what was said to everyone, in discussions and last words; empty
ones are silence. Words are runs of letters, digits and underscores, in any case.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator

from omar_envs.werewolf.estimates import Definition, Observation
from omar_envs.werewolf.recap import Recap

NGRAM = 3
"""Words in a phrase whose repetition counts."""

DEFINITIONS = {
    "invalid_acts": Definition("share", "replies that could not be read"),
    "silence": Definition("share", "public requests to speak that were met with silence"),
    "speech_chars": Definition("mean", "characters of a speech"),
    "speech_chars_median": Definition("median", "characters of a speech, median"),
    "repeated_phrases": Definition("share", "three words in a row that their speaker said before"),
    "repeated_speeches": Definition("share", "speeches that somebody made before, word for word"),
}

_WORD = re.compile(r"\w+")


def observe(game: Recap) -> Iterator[Observation]:
    """All of this module's measures in one game."""
    yield from replies(game)
    yield from lengths(game)
    yield from repetition(game)


def replies(game: Recap) -> Iterator[Observation]:
    """What came of requests.

    - ``invalid_acts`` = invalid turns / turns, of all kinds; also for each phase,
      ``invalid_acts/vote``.
    - ``silence`` = turns of public talk with empty text, chosen or unreadable / turns of
      public talk.
    """
    phases = {stage.turn: stage.phase for stage in game.episode.stages}
    asked = Counter(phases[turn.turn] for turn in game.episode.turns)
    failed = Counter(phases[turn.turn] for turn in game.episode.turns if not turn.valid)
    for phase, count in asked.items():
        yield Observation("invalid_acts", failed[phase], count)
        yield Observation(f"invalid_acts/{phase}", failed[phase], count)
    if game.talk:
        yield Observation("silence", sum(not turn.text for turn in game.talk), len(game.talk))


def lengths(game: Recap) -> Iterator[Observation]:
    """``speech_chars`` and ``speech_chars_median``: mean and median characters of a speech."""
    for turn in game.talk:
        if turn.text:
            yield Observation("speech_chars", len(turn.text))
            yield Observation("speech_chars_median", len(turn.text))


def repetition(game: Recap) -> Iterator[Observation]:
    """How much is said again.

    - ``repeated_phrases`` = 1 − different / all runs of three words, over one speaker's
      speeches of one game, pooled over speakers and games: seq-rep-3 of Welleck et
      al. 2020 (arXiv 1908.04319), on words instead of tokens. No run spans speeches.
    - ``repeated_speeches`` = speeches equal to an earlier one of the same game,
      whoever made it, in the order of acts / speeches. Case and spaces do not count.
      In a stage where all speak at once, one of two equal speeches counts too.
    """
    phrases: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    made: set[str] = set()
    for turn in game.talk:
        if not turn.text:
            continue
        speech = " ".join(turn.text.casefold().split())
        yield Observation("repeated_speeches", speech in made)
        made.add(speech)
        words = _WORD.findall(speech)
        phrases[turn.agent] += zip(*(words[start:] for start in range(NGRAM)), strict=False)
    for runs in phrases.values():
        if runs:
            yield Observation("repeated_phrases", len(runs) - len(set(runs)), len(runs))
