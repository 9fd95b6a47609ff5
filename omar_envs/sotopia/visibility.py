"""Who may read which part of a scenario's text and of a character's profile.

Published texts mark what is not for everybody: ``<p viewer="agent_0">…</p>`` is for
its viewers alone, ``viewer="environment"`` for no participant at all;
``<extra_info>``, ``<strategy_hint>`` and ``<clarification_hint>`` inside a goal are
for the agent whose goal it is. The marks may be nested. Everything else, ``<b>`` and
``x < y`` included, is text.
"""

from __future__ import annotations

import re
from functools import lru_cache

from omar_envs.sotopia.profiles import AgentProfile, RelationshipType

ENVIRONMENT = "environment"
"""The viewer who is no participant: it may read everything."""

_EVERYONE = "all"
_MARK = re.compile(
    r"<\s*+(?P<close>/?+)\s*+(?P<tag>p|extra_info|strategy_hint|clarification_hint)"
    r"(?:[\s/]*+>|(?P<attributes>[\s/](?:\"[^\"]*\"|'[^']*'|[^<>])*+)(?P<end>>?))",
    re.IGNORECASE,
)
_VIEWER = re.compile(
    r"(?<![\w-])viewer\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'/]+))", re.IGNORECASE
)
_EMPTY_BRACKETS = re.compile(r"[ \t]*\(\s*\)")
_SPACE_BEFORE_STOP = re.compile(r"[ \t]+(?=[.,;]|$)", re.MULTILINE)


@lru_cache(maxsize=4096)
def visible_text(text: str, viewer: str, owner: str | None = None) -> str:
    """``text`` as ``viewer`` may read it, without the marks.

    A mark that is never closed holds to the end of the text, one without its closing
    bracket counts, and a viewer that is neither ``all`` nor an agent's id, or cannot be
    read, is nobody: what is unclear is hidden.

    Args:
        text: a scenario's description or a goal.
        viewer: agent id, or :data:`ENVIRONMENT`.
        owner: whose goal it is; ``None`` for a text that is nobody's, in which hints
            without a viewer are for all.
    """
    kept: list[str] = []
    hidden: list[tuple[str, bool]] = []
    start = 0
    for mark in filter(_is_mark, _MARK.finditer(text)):
        if not any(is_hidden for _, is_hidden in hidden):
            kept.append(text[start : mark.start()])
        start = mark.end()
        tag = mark["tag"].lower()
        if not mark["close"]:
            readers = _readers(tag, mark["attributes"] or "", owner)
            hidden.append((tag, viewer not in readers and _EVERYONE not in readers))
        else:
            _close(hidden, tag)
    if not any(is_hidden for _, is_hidden in hidden):
        kept.append(text[start:])
    shown = "".join(kept)
    if shown == text:
        return text
    return _SPACE_BEFORE_STOP.sub("", _EMPTY_BRACKETS.sub("", shown)).strip()


def full_text(text: str) -> str:
    """``text`` without its marks and with all that stands in them."""
    return _MARK.sub(lambda found: "" if _is_mark(found) else found[0], text).strip()


def _is_mark(found: re.Match[str]) -> bool:
    # "x < p and q > y" is text.
    attributes = (found["attributes"] or "viewer").lower()
    return "viewer" in attributes or bool(found["end"] and "=" in attributes)


def _readers(tag: str, attributes: str, owner: str | None) -> tuple[str, ...]:
    viewers = _VIEWER.findall(attributes)
    if len(viewers) == 1:
        return (ENVIRONMENT, *re.split(r"[\s,]+", "".join(viewers[0])))
    if "viewer" in attributes.lower() or (tag == "p" and attributes.strip()):
        return (ENVIRONMENT,)
    if tag == "p" or owner is None:
        return (_EVERYONE,)
    return (ENVIRONMENT, owner)


def _close(hidden: list[tuple[str, bool]], tag: str) -> None:
    for place in range(len(hidden) - 1, -1, -1):
        if hidden[place][0] == tag:
            # Marks opened inside it and never closed go on hiding: they may be misplaced.
            del hidden[place]
            return


def described(profile: AgentProfile, relationship: RelationshipType) -> str:
    """What somebody in this relationship knows of a character; "" is only the name.

    Strangers and those who know the name know no more; acquaintances also age, gender,
    pronouns, occupation and the public information; friends and those who are closer
    also personality and values. Secrets are nobody's but their own.
    """
    if relationship <= RelationshipType.know_by_name:
        return ""
    parts = [_figure(profile), profile.public_info]
    if relationship >= RelationshipType.friend and profile.personality_and_values:
        parts.append(f"Personality and values: {profile.personality_and_values}")
    return " ".join(part for part in parts if part)


def described_to_itself(profile: AgentProfile) -> str:
    """Everything of a character's profile, its secret included."""
    secret = f"Your secret: {_sentence(profile.secret)}" if profile.secret else ""
    return " ".join(part for part in (described_in_full(profile), secret) if part)


def described_in_full(profile: AgentProfile) -> str:
    """Everything of a character's profile but its secret."""
    lists = {
        "Personality and values": profile.personality_and_values,
        "Big five": profile.big_five,
        "Moral values": ", ".join(value.strip() for value in profile.moral_values),
        "Personal values": ", ".join(value.strip() for value in profile.schwartz_personal_values),
        "Way of deciding": profile.decision_making_style,
    }
    told = [_figure(profile), profile.public_info]
    told += [f"{title}: {_sentence(text)}" for title, text in lists.items() if text]
    return " ".join(part for part in told if part)


def _figure(profile: AgentProfile) -> str:
    age = f"{profile.age} years old" if profile.age else ""
    pronouns = f"pronouns {profile.gender_pronoun}" if profile.gender_pronoun else ""
    parts = [part for part in (age, profile.gender, pronouns, profile.occupation) if part]
    return _sentence(", ".join(parts)) if parts else ""


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."
