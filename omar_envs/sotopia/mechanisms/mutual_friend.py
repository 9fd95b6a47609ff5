"""A friend whom all have in common, to be found by talking about one's friends."""

from __future__ import annotations

from functools import reduce
from typing import Any

import msgspec

from omar_envs.sotopia.mechanisms.arguments import canonical, find, find_name, quote
from omar_envs.sotopia.mechanisms.sealed import AnswerOutcome, opened
from omar_envs.sotopia.mechanisms.validity import check_seats, require
from omar_envs.sotopia.outcomes import Result, Ruling

MAX_FRIENDS = 20


class Friend(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One friend on a list. Two entries are one person if name and attributes agree."""

    name: str
    attributes: dict[str, str] = {}


class MutualFriend(AnswerOutcome, frozen=True, tag="mutual_friend"):
    """Two to four with lists of friends that have one person in common (He et al., 2017).

    Source: "Learning Symmetric Collaborative Dialogue Agents", arXiv 1704.07130. An answer
    is a name on one's own list. The score is 1 for all if all name the common friend, else
    0 for all; points are 1 for one's own right answer. No answer is a wrong one, so that it
    is over once somebody leaves without one. Measure ``right_share``: the share of seats with the
    right answer.

    Attributes:
        friends: per seat, its friends, at most 20; names differ within a list. The same
            name with other attributes on another list is another person.
    """

    friends: tuple[tuple[Friend, ...], ...]

    def __post_init__(self) -> None:
        check_seats("friends", self.num_seats, high=4)
        for number, known in enumerate(self.friends):
            where = f"friends[{number}]"
            require(1 <= len(known) <= MAX_FRIENDS, f"{where} must have 1 to {MAX_FRIENDS}")
            plain = [" ".join(friend.name.casefold().split()) for friend in known]
            require(all(plain), f"{where} has an empty name")
            require(len(set(plain)) == len(plain), f"{where} has a name twice")
        common = len(self._common())
        require(common == 1, f"friends: {common} are common to all; it must be exactly one")

    @property
    def num_seats(self) -> int:
        """How many take part."""
        return len(self.friends)

    @property
    def needs_all(self) -> bool:
        """Only if all answer can all be right."""
        return True

    @property
    def right(self) -> str:
        """Name of the common friend."""
        return self._common()[0].name

    def told(self, seat: int, names: tuple[str, ...]) -> str:
        """Its list of friends."""
        known = "; ".join(_in_words(friend) for friend in self.friends[seat])
        return f"Your friends: {known}."

    def facts(self, seat: int, names: tuple[str, ...]) -> dict[str, Any]:
        """Its friends, each ``{"name": …, "attributes": {…}}``."""
        return {
            "mechanism": "mutual_friend",
            "friends": [msgspec.to_builtins(friend) for friend in self.friends[seat]],
        }

    def rules(self, names: tuple[str, ...]) -> str:
        """That there is one, and how to answer."""
        everyone = "both of you" if self.num_seats == 2 else f"all {self.num_seats} of you"
        example = self.how_to_close("the friend's name, as on your list")
        return (
            f"Exactly one friend is on the lists of {everyone}: the same person, with the same "
            f"name and particulars. Find out who it is. It counts only if {everyone} name that "
            f"friend. {example}"
        )

    def read_answer(self, seat: int, value: object) -> Ruling:
        """A name on one's own list; a first or last name will do where one friend has it."""
        known = [friend.name for friend in self.friends[seat]]
        index = find(value, known)
        if index is None:
            index = find_name(value, known)
        if index is None:
            return Ruling(False, reason=f"answer with one name on your list, not {quote(value)}")
        return Ruling(True, canonical(known[index]))

    def worth(self, answers: tuple[Any, ...], names: tuple[str, ...]) -> Result:
        """1 for all or 0 for all."""
        right = [answer == self.right for answer in answers]
        return Result(
            settled=None not in answers,
            scores=(float(all(right)),) * self.num_seats,
            points=tuple(map(float, right)),
            deal=opened(answers, names),
            measures={"right_share": sum(right) / self.num_seats},
        )

    def _common(self) -> list[Friend]:
        first, *rest = self.friends
        return reduce(
            lambda found, known: [friend for friend in found if friend in known], rest, list(first)
        )


def _in_words(friend: Friend) -> str:
    particulars = ", ".join(f"{what}: {value}" for what, value in friend.attributes.items())
    return f"{friend.name} ({particulars})" if particulars else friend.name
