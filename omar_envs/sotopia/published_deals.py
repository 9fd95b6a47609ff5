"""Published scenarios whose result can be computed after all.

SOTOPIA took scenarios from Deal or No Deal (Lewis et al., arXiv 1706.05125) and from
MutualFriends (He et al., arXiv 1704.07130), and states their numbers and lists in
prose. Where all of it can be read without a guess, :func:`recognise` gives the outcome;
otherwise it says what stands in the way, and the scenario stays with the judge.

Bargains taken from CraigslistBargains stay with the judge too: they speak of penalties
and bonuses around a target price without saying how large these are.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import NamedTuple

from omar_envs.errors import ConfigError
from omar_envs.sotopia.mechanisms import AnyOutcome, Division, Friend, MutualFriend
from omar_envs.sotopia.profiles import EnvironmentProfile

DEALS = "deal-or-no-deal"
FRIENDS = "mutual_friends"
SOURCES = (DEALS, FRIENDS)
"""Values of ``source`` whose scenarios :func:`recognise` can read."""

_NUMBERS = {
    word: number
    for number, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve".split()
    )
}
_NUMBER = rf"\d{{1,4}}|{'|'.join(_NUMBERS)}"
_EXTRA = re.compile(r"<extra_info>(.*?)</extra_info>", re.IGNORECASE | re.DOTALL)
_HINT = re.compile(r"<(\w+_hint)>.*?</\1>", re.IGNORECASE | re.DOTALL)
_LEAD = re.compile(
    r"\s*(?:extra information\s*:)?\s*(?:for you\s*,?)?\s*(?:you value\b)?\s*", re.IGNORECASE
)
_AND = re.compile(r"\s*(?:[,;]\s*and\b|[,;]|\band\b)\s*", re.IGNORECASE)
_PRICE = re.compile(
    r"(?:(?P<one>each|every|an?|one|1)\s+|the\s+)?(?P<item>[a-z][a-z' -]*?)\s*"
    r"(?:=|\b(?:(?:are|is) worth|(?:give|gives)(?: you)?|equals?|are|is|at|as)\b)\s*"
    rf"(?P<points>{_NUMBER})\s+points?(?P<each>\s+(?:each|apiece))?",
    re.IGNORECASE,
)
_LISTED_BEFORE = re.compile(rf"\b(?:{_NUMBER})\s+[a-z-]+(?:{_AND.pattern})$", re.IGNORECASE)
_LISTED_AFTER = re.compile(rf"(?:{_AND.pattern})(?:{_NUMBER}|an?)\s+[a-z-]+", re.IGNORECASE)
_FRIEND_IN_COMMON = re.compile(
    r"<p\s+viewer=[\"']environment[\"']\s*>\s*They have 1 common friends?\s*:\s*"
    r"(?P<name>[^<,]+?)\s*\.?\s*</p>",
    re.IGNORECASE,
)


class Recognised(NamedTuple):
    """What a scenario's text came to.

    Attributes:
        outcome: how its result is computed; ``None`` if that is not sure.
        note: why not, "" otherwise.
    """

    outcome: AnyOutcome | None
    note: str = ""


class _Price(NamedTuple):
    item: str
    points: int
    is_of_one: bool
    text: str


class _UnclearError(Exception):
    """The text leaves something to guess."""


def recognise(profile: EnvironmentProfile) -> Recognised:
    """The outcome of a scenario whose ``source`` is one of :data:`SOURCES`, if it can be read."""
    try:
        if profile.source == DEALS:
            return Recognised(_division(profile))
        if profile.source == FRIENDS:
            return Recognised(_mutual_friend(profile))
    except (_UnclearError, ConfigError) as error:
        return Recognised(None, str(error))
    return Recognised(None, f"scenarios from {profile.source!r} state no numbers")


# --- items with points ------------------------------------------------------


def _division(profile: EnvironmentProfile) -> Division:
    """Counts from the scenario, values from the goals."""
    prices = [_prices(goal) for goal in profile.agent_goals]
    named = {price.item for seat in prices for price in seat}
    counted = _counts(profile.scenario, named)
    values = []
    for seat in prices:
        points: dict[str, int] = {}
        for price in seat:
            item = next(noun for noun in counted if _same(noun, price.item))
            if counted[item] > 1 and not price.is_of_one:
                raise _UnclearError(
                    f"{price.text!r} may price one or all of the {counted[item]} there are"
                )
            if item in points:
                raise _UnclearError(f"a goal prices {item!r} twice")
            points[item] = price.points
        if set(points) != set(counted):
            raise _UnclearError("the goals do not price the same items")
        values.append(points)
    return Division(counted, tuple(values))


def _prices(goal: str) -> list[_Price]:
    text = _HINT.sub("", _extra_info(goal))
    lead = _LEAD.match(text)
    stated = text[lead.end() if lead else 0 :].strip().rstrip(".").rstrip()
    prices = []
    for clause in _AND.split(stated):
        match = _PRICE.fullmatch(clause.strip())
        if match is None:
            raise _UnclearError(f"{clause.strip()[:60]!r} is no price")
        prices.append(
            _Price(
                item=match["item"].lower(),
                points=_number(match["points"]),
                is_of_one=bool(match["one"] or match["each"]),
                text=match.group(),
            )
        )
    return prices


def _counts(scenario: str, named: set[str]) -> dict[str, int]:
    """How many of each named item the scenario counts, which must be all that it lists."""
    nouns = sorted({form for item in named for form in _forms(item)}, key=len, reverse=True)
    item = "|".join(map(re.escape, nouns))
    mention = re.compile(rf"\b(?P<count>{_NUMBER}|an?)\s+(?P<noun>{item})\b", re.IGNORECASE)
    counted: dict[str, int] = {}
    places = []
    for match in mention.finditer(scenario):
        noun = match["noun"].lower()
        if any(_same(noun, other) for other in counted):
            raise _UnclearError(f"the scenario counts {noun!r} twice")
        counted[noun] = _number(match["count"])
        places.append(match.span())
    for name in sorted(named):
        if not any(_same(noun, name) for noun in counted):
            raise _UnclearError(f"the scenario does not count {name!r}")
    _check_nothing_else_is_listed(scenario, places)
    return counted


def _check_nothing_else_is_listed(scenario: str, places: list[tuple[int, int]]) -> None:
    for (_, end), (start, _) in pairwise(places):
        if not _AND.fullmatch(scenario[end:start]):
            raise _UnclearError(f"{scenario[end:start].strip()[:60]!r} stands among the items")
    before, after = scenario[: places[0][0]], scenario[places[-1][1] :]
    other = _LISTED_BEFORE.search(before) or _LISTED_AFTER.match(after)
    if other:
        raise _UnclearError(f"{other.group().strip()!r} is listed without a price")


def _forms(item: str) -> set[str]:
    """The word itself, and what it may be in the plural or in the singular."""
    forms = {item, f"{item}s", f"{item}es"}
    if item.endswith("y"):
        forms.add(f"{item[:-1]}ies")
    if item.endswith("ies"):
        forms.add(f"{item[:-3]}y")
    if item.endswith("es"):
        forms.add(item[:-2])
    if item.endswith("s"):
        forms.add(item[:-1])
    return forms


def _same(noun: str, other: str) -> bool:
    return noun in _forms(other)


def _number(text: str) -> int:
    word = text.lower()
    if word in ("a", "an"):
        return 1
    return _NUMBERS[word] if word in _NUMBERS else int(word)


# --- friends ----------------------------------------------------------------


def _mutual_friend(profile: EnvironmentProfile) -> MutualFriend:
    """The lists from the goals, the friend in common from what only the environment sees."""
    stated = _FRIEND_IN_COMMON.search(profile.scenario)
    if stated is None:
        raise _UnclearError("the scenario does not name one friend in common")
    outcome = MutualFriend(
        tuple(
            tuple(Friend(name, attributes) for name, attributes in _friends(goal).items())
            for goal in profile.agent_goals
        )
    )
    if outcome.right != stated["name"]:
        raise _UnclearError(f"{stated['name']!r} is named, but the lists share {outcome.right!r}")
    return outcome


def _friends(goal: str) -> dict[str, dict[str, str]]:
    lines = [line.strip() for line in _HINT.sub("", _extra_info(goal)).split("\n")]
    head, *rest = [line for line in lines if line] or [""]
    if not re.fullmatch(r"you know the following friends\s*:?", head, re.IGNORECASE):
        raise _UnclearError(f"{head[:60]!r} does not begin a list of friends")
    friends: dict[str, dict[str, str]] = {}
    for line in rest:
        name, colon, described = (part.strip() for part in line.partition(":"))
        # Two spaces or more part one attribute from the next.
        pairs = [part.partition(":") for part in re.split(r"\s{2,}", described)]
        attributes = {key.strip(): value.strip() for key, _, value in pairs}
        if not (colon and name and all(attributes) and all(attributes.values())):
            raise _UnclearError(f"{line[:60]!r} does not describe a friend")
        if name in friends or len(attributes) < len(pairs):
            raise _UnclearError(f"{line[:60]!r} says something twice")
        friends[name] = attributes
    return friends


def _extra_info(goal: str) -> str:
    found = _EXTRA.findall(goal)
    if len(found) != 1:
        raise _UnclearError(f"a goal has {len(found)} pieces of extra information, not one")
    return str(found[0])
