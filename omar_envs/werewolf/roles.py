"""The roles: what each knows, does at night, does when it dies, and is told.

A role is one small class. :class:`Role` is the villager's part of it and the
defaults of all others; a subclass says only what is different. An instance
belongs to one player of one game, so that a role may remember what it did. Add a
class, put it in :data:`ROLE_CLASSES`, and every part of the game knows it.

Night order. Roles of ``night_round`` 1 act at the same time, unseen by one
another; those of round 2 act after them and may look at ``night.victim``, whom
the wolves have chosen. What was named is applied in this order:

1. every wolf's vote, every protection, every investigation (all count, even of
   a player who dies in the same night);
2. the wolves' victim is found: whom most wolves named, a tie at random or nobody;
3. the witch's potion;
4. the victim dies unless somebody protected or healed it (two protections are
   one protection), and whoever was poisoned dies, protected or not.

A hunter who dies shoots before the deaths of that moment count; a poisoned
hunter does not shoot, even if the wolves had chosen it too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from omar_envs.werewolf.rules import Game
    from omar_envs.werewolf.settings import Rules

Team = Literal["werewolf", "village", "jester"]
Cause = Literal["killed", "poisoned", "voted_out", "shot"]


class Learned(msgspec.Struct, frozen=True, gc=False):
    """``player`` learns of ``target`` whether it is a werewolf (``team``), or also its role."""

    player: int
    target: int
    team: Team
    role: str | None = None


class Night(msgspec.Struct):
    """What one night has come to so far.

    Attributes:
        day: number of the night.
        deadly: false in a peaceful first night.
        attacks: whom each wolf named.
        victim: whom the wolves chose; known once round 1 has closed.
        protected: who does not die of the wolves.
        poisoned: who dies whatever happens.
        learned: what was found out.
    """

    day: int
    deadly: bool
    attacks: list[int] = []
    victim: int | None = None
    protected: set[int] = set()
    poisoned: set[int] = set()
    learned: list[Learned] = []


def without(player: int | None, players: Sequence[int]) -> list[int]:
    """The others of ``players``, each of whom is in it once, in the same order."""
    others = list(players)
    if player in others:
        others.remove(player)
    return others


class Role:
    """A player without powers.

    Attributes:
        name, plural: what it is called.
        team: with whom it wins.
        is_wolf: whether it counts as a werewolf for parity and extinction, is
            seen as one, knows the others, and talks with them at night.
        unit: its number must be 0 or at least this.
        night_round: 1 or 2 if it acts at night, 0 if it never does.
        may_pass: whether its night act is optional.
        verb: its night act in one word; "" if it has none.
        text: what everybody is told of the role.
        question: what it is asked at night.
        notice: its act in the log, between its name and its target's.
        told_of_votes: whether it learns something of those voted out.
    """

    name = "villager"
    plural = "villagers"
    team: Team = "village"
    is_wolf = False
    unit = 1
    night_round = 0
    may_pass = False
    verb = ""
    text = "knows nothing but what it hears: find the werewolves by talk and vote."
    question = ""
    notice = ""
    told_of_votes = False

    def partners(self, game: Game, player: int) -> list[int]:
        """Whose role it knows from the start."""
        return []

    def acts(self, game: Game, night: Night) -> bool:
        """Whether it acts in this night, if it lives."""
        return self.night_round > 0 and night.deadly

    def targets(self, game: Game, player: int) -> list[int]:
        """Whom it may name at night, in seat order; never empty while it acts."""
        return without(player, game.living())

    def told(self, night: Night) -> int | None:
        """Whom it is told of before its night act: the wolves' victim, or nobody."""
        return None

    def ask(self, victim: str | None) -> str:
        """What it is asked at night; ``victim`` is the name of whom it is told of."""
        return self.question

    def resolve(self, game: Game, night: Night, player: int, target: int) -> None:
        """Apply its night act."""

    def vote_weight(self, rules: Rules) -> int:
        """How many votes its vote is."""
        return 1

    def breaks_ties(self, rules: Rules) -> bool:
        """Whether its vote decides between the tied."""
        return False

    def after_vote(self, game: Game, player: int, out: int) -> Sequence[Learned]:
        """What it learns when ``out`` is voted out."""
        return ()

    def survives_vote(self) -> bool:
        """Whether being voted out only takes its vote away."""
        return False

    def shoots(self, cause: Cause) -> bool:
        """Whether it takes somebody along when it dies of ``cause``."""
        return False

    def wins_by(self, cause: Cause) -> bool:
        """Whether the game ends with its own win when it dies of ``cause``."""
        return False


class Werewolf(Role):
    """Kills at night, and knows the others of its kind."""

    name = "werewolf"
    plural = "werewolves"
    team: Team = "werewolf"
    is_wolf = True
    night_round = 1
    verb = "kill"
    text = "kills at night with the other werewolves, and passes for a villager by day."
    question = "Whom do the werewolves kill tonight? The player whom most werewolves name dies."
    notice = "names as victim:"

    def partners(self, game: Game, player: int) -> list[int]:
        return [other for other in game.wolves if other != player]

    def targets(self, game: Game, player: int) -> list[int]:
        wolves = game.wolves
        return [other for other in game.living() if other not in wolves]

    def resolve(self, game: Game, night: Night, player: int, target: int) -> None:
        night.attacks.append(target)


class Seer(Role):
    """Learns each night whether one player is a werewolf."""

    name = "seer"
    plural = "seers"
    night_round = 1
    verb = "investigate"
    text = "looks at one player each night, and learns whether it is a werewolf."
    question = "Whom do you investigate tonight?"
    notice = "investigates"

    def acts(self, game: Game, night: Night) -> bool:
        return True

    def resolve(self, game: Game, night: Night, player: int, target: int) -> None:
        role = game.roles[target] if game.rules.seer_learns == "role" else None
        night.learned.append(Learned(player, target, game.seen_as(target), role))


class Doctor(Role):
    """Protects one player each night from the wolves."""

    name = "doctor"
    plural = "doctors"
    night_round = 1
    verb = "protect"
    text = "protects one player each night from the werewolves."
    question = "Whom do you protect tonight?"
    notice = "protects"

    def __init__(self) -> None:
        self._last: int | None = None

    def targets(self, game: Game, player: int) -> list[int]:
        allowed = game.living()
        if not game.rules.doctor_self_save:
            allowed = without(player, allowed)
        if not game.rules.doctor_repeat_save and len(allowed) > 1:
            allowed = without(self._last, allowed)
        return allowed

    def resolve(self, game: Game, night: Night, player: int, target: int) -> None:
        self._last = target
        night.protected.add(target)


class Witch(Role):
    """Has one potion that heals the wolves' victim and one that kills anybody."""

    name = "witch"
    plural = "witches"
    night_round = 2
    may_pass = True
    verb = "potion"
    text = (
        "has two potions, each for one use and at most one a night: one heals the player "
        "whom the werewolves chose, whom the witch is told, the other kills any player."
    )
    notice = "gives a potion to"

    def __init__(self) -> None:
        self.heals = True
        self.poisons = True

    def acts(self, game: Game, night: Night) -> bool:
        return night.deadly and (self.heals or self.poisons)

    def targets(self, game: Game, player: int) -> list[int]:
        return [
            other
            for other in game.living()
            if self._heals(game.night, other) or (self.poisons and other != player)
        ]

    def told(self, night: Night) -> int | None:
        return night.victim if self.heals else None

    def ask(self, victim: str | None) -> str:
        poison = "name another player to poison it, " if self.poisons else ""
        if victim is None:
            return f"{poison.replace('another', 'a').capitalize()}or pass."
        return f"The werewolves chose {victim}. Name {victim} to heal it, {poison}or pass."

    def _heals(self, night: Night, target: int) -> bool:
        return self.heals and target == night.victim

    def resolve(self, game: Game, night: Night, player: int, target: int) -> None:
        if self._heals(night, target):
            self.heals = False
            night.protected.add(target)
        else:
            self.poisons = False
            night.poisoned.add(target)


class Hunter(Role):
    """Takes somebody along when it dies, but not when it was poisoned."""

    name = "hunter"
    plural = "hunters"
    text = "shoots one player when it dies, unless it was poisoned."

    def shoots(self, cause: Cause) -> bool:
        return cause != "poisoned"


class Medium(Role):
    """Learns whether those who were voted out were werewolves."""

    name = "medium"
    plural = "mediums"
    text = "learns of each player who was voted out whether it was a werewolf."
    told_of_votes = True

    def after_vote(self, game: Game, player: int, out: int) -> Sequence[Learned]:
        return (Learned(player, out, game.seen_as(out)),)


class Possessed(Role):
    """Wins with the wolves but is none: not counted, not seen and not known as one."""

    name = "possessed"
    plural = "possessed"
    team: Team = "werewolf"
    text = (
        "wins with the werewolves, but is not one: it does not know them, they do not know it, "
        "and to whoever looks or counts it is not a werewolf."
    )


class Mayor(Role):
    """Its vote counts twice, or breaks ties (``mayor_vote``)."""

    name = "mayor"
    plural = "mayors"
    text = "has a vote of more weight."

    def vote_weight(self, rules: Rules) -> int:
        return 2 if rules.mayor_vote == "double" else 1

    def breaks_ties(self, rules: Rules) -> bool:
        return rules.mayor_vote == "tiebreak"


class Mason(Role):
    """Masons know one another."""

    name = "mason"
    plural = "masons"
    unit = 2
    text = "knows who the other masons are, and so that they are no werewolves."

    def partners(self, game: Game, player: int) -> list[int]:
        return [
            other for other, role in enumerate(game.roles) if role == self.name and other != player
        ]


class Idiot(Role):
    """The first vote against it shows its role and takes its own vote, not its life."""

    name = "idiot"
    plural = "idiots"
    text = (
        "is shown to all when it is first voted out, and then stays in the game "
        "but has no vote any more."
    )

    def __init__(self) -> None:
        self.shown = False

    def survives_vote(self) -> bool:
        spared = not self.shown
        self.shown = True
        return spared


class Jester(Role):
    """Wins alone, at once, by being voted out."""

    name = "jester"
    plural = "jesters"
    team: Team = "jester"
    text = "wins alone, and ends the game, by being voted out; it loses in any other case."

    def wins_by(self, cause: Cause) -> bool:
        return cause == "voted_out"


ROLE_CLASSES: dict[str, type[Role]] = {
    role.name: role
    for role in (
        *(Role, Werewolf, Seer, Doctor, Witch, Hunter, Medium, Possessed),
        *(Mayor, Mason, Idiot, Jester),
    )
}
"""Every role by its name; the order is that of the deck before it is shuffled."""


def team_of(role: str) -> Team:
    """The team that a role wins with.

    Raises:
        KeyError: there is no such role.
    """
    return ROLE_CLASSES[role].team
