"""What a line of table talk claims: seer claims, findings and suspicions.

One small grammar, with or without articles: "I am the seer", "Ana is a
werewolf", "Ana is not a werewolf", "Ana is good", "I suspect Ana". Scripted
bots speak and read it, and probes count it; free talk outside it claims nothing.
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
