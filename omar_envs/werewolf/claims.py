"""What a line of table talk claims: seer claims, findings and suspicions.

One small grammar, with or without articles: "I am the seer", "Ana is a
werewolf", "Ana is not a werewolf", "Ana is good", "I suspect Ana". Scripted
bots speak and read it, and probes count it; free talk outside it claims nothing.
:func:`read_accusations` reads accusations in plainer English, for measures alone.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple


class Finding(NamedTuple):
    """Something said: ``speaker`` calls ``target`` a wolf or not (display names)."""

    speaker: str
    target: str
    wolf: bool


class Said(NamedTuple):
    """What one line claims.

    Attributes:
        speaker: display name.
        claims_seer: whether the speaker says to be the seer.
        findings: "X is …" statements.
        suspicions: "I suspect X" statements, with ``wolf`` true.
    """

    speaker: str
    claims_seer: bool
    findings: tuple[Finding, ...]
    suspicions: tuple[Finding, ...]


class _Patterns(NamedTuple):
    finding: re.Pattern[str]
    suspect: re.Pattern[str]


_CLAIM = re.compile(r"\bI am (?:the |a )?seer\b", re.IGNORECASE)


def read_speech(speaker: str, text: str, players: tuple[str, ...]) -> Said:
    """Read one line of talk.

    Args:
        speaker: display name of who said it.
        text: the line.
        players: display names of all players.
    """
    patterns = _patterns(players)
    return Said(
        speaker,
        _CLAIM.search(text) is not None,
        tuple(
            Finding(speaker, match["name"], match["wolf"] is not None)
            for match in patterns.finding.finditer(text)
        ),
        tuple(Finding(speaker, m["name"], True) for m in patterns.suspect.finditer(text)),
    )


@lru_cache(maxsize=1024)
def _patterns(players: tuple[str, ...]) -> _Patterns:
    name = "(?P<name>" + "|".join(map(re.escape, players)) + ")"
    wolf = r"(?P<wolf>(?:a |the )?(?:were)?wolf)"
    good = r"(?:good|innocent|not (?:a |the )?(?:were)?wolf)"
    return _Patterns(
        finding=re.compile(rf"\b{name} is (?:{wolf}|{good})\b"),
        suspect=re.compile(rf"\bI suspect {name}\b"),
    )


def read_accusations(text: str, players: tuple[str, ...]) -> tuple[str, ...]:
    """Whom a line of free English accuses, for measures; bots do not read it.

    Wider than :func:`read_speech`, and still a list of phrases, each with names N:

    - "I suspect N", "I accuse N" (adverbs allowed), "suspicious of N"
    - "N is B", "N must be B", "N looks B" and the like, with B one of werewolf, wolf,
      mafia, liar, lying, suspicious, guilty, evil ("N is clearly one of the wolves"),
      "N's lying", "N and N are B"
    - "vote for N", "voting N", "vote out N", "my vote goes to N", "let us eliminate N"

    Case does not matter. Nobody is accused in a question, after a negation, a
    condition or a report of what others say in the same clause ("I doubt that",
    "if", "Ben says"), or by hedges such as "might be". What is said otherwise is
    missed: counts made with this are counts of plain accusations.

    Args:
        text: the line.
        players: display names of all players.

    Returns:
        Display names as in ``players``, each once, in the order in which they come.
    """
    names = tuple(sorted(players, reverse=True))
    line = " ".join(text.replace("\0", " ").split())
    marked = _any_name(names).sub(lambda found: f"\0{found.lastindex}\0", line)
    if "\0" not in marked:
        return ()
    pieces = _CLAUSE_END.split(marked)
    accused: list[int] = []
    for clause, end in zip(pieces[::2], [*pieces[1::2], ""], strict=True):
        if "\0" in clause and end != "?":
            accused += _accused(clause)
    return tuple(dict.fromkeys(names[number - 1] for number in accused))


def _accused(clause: str) -> list[int]:
    unsaid = _UNSAID.search(clause)
    limit = len(clause) if unsaid is None else unsaid.start()
    found = {
        match.start("names") + name.start(): int(name[1])
        for phrase in _ACCUSATIONS
        for match in phrase.finditer(clause)
        if match.start() <= limit
        for name in _MARKED.finditer(match["names"])
    }
    return [found[start] for start in sorted(found)]


@lru_cache(maxsize=1024)
def _any_name(names: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(
        r"(?<!\w)(?:" + "|".join(f"({re.escape(name)})" for name in names) + r")(?!\w)",
        re.IGNORECASE,
    )


# The phrases are compiled once: in a line that they read, every name stands as its number.
_MARKED = re.compile("\0(\\d+)\0")
_NAME = "\0\\d+\0"
_JOINED = f"{_NAME}(?: (?:and|or) {_NAME}(?! (?:is|was|has|must|looks|seems|sounds)\\b|['’]s))*"
_ADVERBS = (
    r"(?:(?:really|clearly|definitely|probably|likely|surely|obviously|certainly|strongly|"
    r"very|quite|most|so|too|also|now|still|just|both|the|a|an|our|one|of|other|another) )*"
)
_BAD = r"(?:werewol(?:f|ves)|wol(?:f|ves)|mafia|liars?|lying|suspicious(?! of\b)|guilty|evil)\b"
_IS = r"(?:is|must be|has to be|looks|seems|sounds)(?: like)?"
_ACCUSATIONS = tuple(
    re.compile(phrase, re.IGNORECASE)
    for phrase in (
        rf"\bI(?:['’]d)? {_ADVERBS}(?:suspect|accuse) (?:that )?(?P<names>{_JOINED})"
        rf"(?! is (?!{_ADVERBS}{_BAD}))",
        rf"(?<!\0 is )\bsuspicious of (?P<names>{_JOINED})",
        rf"(?P<names>{_NAME}) {_IS} {_ADVERBS}{_BAD}",
        rf"(?P<names>{_NAME})['’]s {_ADVERBS}lying\b",
        rf"(?P<names>{_NAME} and {_NAME}) (?:are|must be|look|seem|sound) {_ADVERBS}{_BAD}",
        rf"\bvot(?:e|ing) (?:is |goes |going )?(?:(?:to|for|out|against|on) )*(?P<names>{_JOINED})",
        r"\blet(?: us|['’]s) (?:eliminate|lynch|hang|banish|execute|get rid of) "
        rf"(?P<names>{_JOINED})",
    )
)
_CLAUSE_END = re.compile(r"([.,;:!?—]|\bbut\b)", re.IGNORECASE)
_UNSAID = re.compile(
    r"\b(?:not|never|no(?! doubt)|nobody|cannot|without|if|unless|whether|(?<!no )doubt|"
    r"says?|said|claims?|claimed|thinks|accuses|accused)\b|n['’]t\b",
    re.IGNORECASE,
)
