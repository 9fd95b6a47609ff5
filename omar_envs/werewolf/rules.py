"""The rules of Werewolf: who is dealt what, what acts do, who has won.

Pure and seeded: players are indices, randomness comes from the generator that
the caller passes, and nothing here knows of text, observations or gym. What is
special about a role is in :mod:`omar_envs.werewolf.roles`.

A caller takes steps from :meth:`Game.next_step`, lets those act whom
:meth:`Game.actors` names, and hands their acts to the method of the step's kind::

    night       resolve_night   whom each names, None to pass
    bid         resolve_bids    0 to 4 for each
    vote        resolve_vote    whom each names, None to abstain
    shot        resolve_shot    whom the dying hunter names

Talk (``wolf_chat``, ``discussion``, ``last_words``) has nothing to resolve.
Deaths count when all that follows from them (last words, shots) is done, at once
if nothing does; then, and at no other time, it is asked who has won.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from omar_envs.werewolf.roles import ROLE_CLASSES, Cause, Learned, Night, Team, team_of, without
from omar_envs.werewolf.schedule import Step, StepKind, day_steps, night_steps
from omar_envs.werewolf.settings import (
    DRAWN,
    MAX_PLAYERS,
    MIN_PLAYERS,
    ROLES,
    Rules,
    default_roles,
)
from omar_envs.werewolf.tally import count, most, two_most

__all__ = [
    "MAX_PLAYERS",
    "MIN_PLAYERS",
    "ROLES",
    "Death",
    "Game",
    "Rules",
    "Step",
    "Vote",
    "default_roles",
    "team_of",
]


def shuffled(players: Iterable[int], rng: np.random.Generator) -> list[int]:
    """The same in an order drawn by ``rng``: that of its ``permutation``, five times as fast."""
    order = list(players)
    rng.shuffle(order)
    return order


class Death(NamedTuple):
    """Who died on which day or night, and of what."""

    player: int
    day: int
    cause: Cause


class Vote(msgspec.Struct, frozen=True, gc=False):
    """What came of a vote.

    Attributes:
        out: who was voted out and dies, if anybody.
        spared: who was voted out and stays (an idiot).
        tied: between whom there is another vote.
        learned: what somebody learns of it.
    """

    out: int | None = None
    spared: int | None = None
    tied: tuple[int, ...] = ()
    learned: tuple[Learned, ...] = ()


class Game:
    """State of one game.

    Args:
        rules: the rules.
        rng: generator of the game; dealing, orders and ties draw from it.

    Attributes:
        roles: name of every player's role.
        held: every player's role itself, which remembers what it did.
        alive: whether each player lives.
        wolves: players who are werewolves, dead or alive.
        deaths: in order.
        days_begun: number of days that have begun.
        night: the running night, or the last one.
    """

    def __init__(self, rules: Rules, rng: np.random.Generator) -> None:
        self.rules = rules
        deck = rules.deck
        self.roles: tuple[str, ...] = tuple([deck[i] for i in shuffled(range(len(deck)), rng)])
        self.held = tuple([ROLE_CLASSES[role]() for role in self.roles])
        self.wolves = [player for player, role in enumerate(self.held) if role.is_wolf]
        self._wolves_left = len(self.wolves)
        self.alive = [True] * rules.num_players
        self.deaths: list[Death] = []
        self.days_begun = 0
        self.night = Night(0, False)
        self._rng = rng
        self._living = list(range(rules.num_players))
        self._weights = [role.vote_weight(rules) for role in self.held]
        self._told_of_votes = [p for p, role in enumerate(self.held) if role.told_of_votes]
        self._winner: Team | None = None
        self._days_begun_at_death: dict[int, int] = {}
        self._doomed: list[Death] = []
        self._queue: list[Step] = []
        self._next_is_night = rules.first_phase == "night"
        self._voiceless: set[int] = set()
        self._ballot: tuple[int, ...] = ()
        self._order: list[int] = []
        self._speaker = -1
        self._speeches = [0] * rules.num_players

    # --- who is who -------------------------------------------------------

    def living(self, role: str | None = None) -> list[int]:
        """Living players in seat order, all or those of one role."""
        if role is None:
            return self._living.copy()
        return [player for player in self._living if self.roles[player] == role]

    def team(self, player: int) -> Team:
        """The player's team."""
        return self.held[player].team

    def seen_as(self, player: int) -> Team:
        """What a seer sees: whether the player is a werewolf, whoever it wins with."""
        return "werewolf" if self.held[player].is_wolf else "village"

    # --- schedule ---------------------------------------------------------

    def next_step(self) -> Step | None:
        """The next step of the schedule, or ``None`` once the game is over."""
        if self._doomed:
            self._bury_if_done()
        if self._winner is not None:
            return None
        while not self._queue:
            if self.hit_limit():
                return None
            self._queue = self._plan_night() if self._next_is_night else self._plan_day()
            self._next_is_night = not self._next_is_night
        step = self._queue.pop(0)
        match step.kind:
            case "night" if step.round == 1:
                self.night = Night(step.day, self.kill_happens(step))
            case "vote" if self.rules.draws_votes:
                self._order = self._shuffled()
            case "discussion" if self.rules.draws_talks:
                self._order = self._shuffled()
        return step

    def _shuffled(self) -> list[int]:
        return shuffled(self._living, self._rng)

    def _plan_night(self) -> list[Step]:
        # A night belongs to the day that follows it, unless the game began by day.
        number = self.days_begun + (1 if self.rules.first_phase == "night" else 0)
        return list(night_steps(number, self.rules.wolf_chat_rounds, self.rules.night_rounds))

    def _plan_day(self) -> list[Step]:
        self.days_begun += 1
        self._ballot = ()
        self._speeches = [0] * self.rules.num_players
        if self.rules.discussion == "daily_order":
            self._order = self._shuffled()
        bidding = self.rules.discussion == "bidding"
        vote = self.rules.first_day_vote or self.days_begun > 1
        return list(day_steps(self.days_begun, self.rules.discussion_rounds, bidding, vote))

    def hit_limit(self) -> bool:
        """Whether ``max_days`` days have passed and nobody has won."""
        return (
            self._winner is None
            and not self._queue
            and self._next_is_night
            and self.days_begun >= self.rules.max_days
        )

    # --- who acts, and what may be chosen ---------------------------------

    def kill_happens(self, step: Step) -> bool:
        """Whether anybody may be killed in this night."""
        return self.rules.first_night_kill or step.day > 1

    def actors(self, step: Step) -> list[int]:
        """Who acts in a step, in the order in which they do."""
        match step.kind:
            case "discussion":
                return self._speakers()
            case "vote":
                voters = self._order if self.rules.draws_votes else self._living
                if not self._voiceless:
                    return voters.copy()
                return [player for player in voters if player not in self._voiceless]
            case "night":
                return self._night_actors(step)
            case "wolf_chat":
                wolves = [player for player in self.wolves if self.alive[player]]
                return wolves if len(wolves) > 1 else []
            case "bid":
                return self._living.copy()
            case "shot" if not self.targets(step.actor, "shot"):
                return []
        return [step.actor]

    def _speakers(self) -> list[int]:
        if self.rules.discussion in DRAWN:
            return self._order.copy()
        if self.rules.discussion == "bidding":
            return [self._speaker] if self._speaker >= 0 else []
        return self._living.copy()

    def _night_actors(self, step: Step) -> list[int]:
        return [
            player
            for player in self._living
            if (role := self.held[player]).night_round == step.round
            and role.acts(self, self.night)
            and (not role.may_pass or role.targets(self, player))
        ]

    def targets(self, player: int, kind: StepKind) -> list[int]:
        """Whom the player may name in a night, a vote or a shot, in seat order."""
        if kind == "vote":
            candidates = self._ballot or self._living
            return list(candidates) if self.rules.allow_self_vote else without(player, candidates)
        if kind == "night":
            return self.held[player].targets(self, player)
        doomed = {death.player for death in self._doomed}
        return [other for other in self._living if other not in doomed]

    # --- what acts do -----------------------------------------------------

    def resolve_night(self, step: Step, named: Mapping[int, int | None]) -> list[Death]:
        """Apply a round of night acts; :attr:`night` holds what was learned.

        Args:
            named: target of every player who acted, ``None`` to pass.

        Returns:
            Who will die of this night, in seat order; empty before its last round.
        """
        night = self.night
        for player, target in named.items():
            if target is not None:
                self.held[player].resolve(self, night, player, target)
        if step.round == 1:
            named_most = most(count(night.attacks))
            if len(named_most) == 1 or self.rules.kill_tie == "random":
                night.victim = self._one_of(named_most)
        if step.round != self.rules.night_rounds[-1]:
            return []
        causes: dict[int, Cause] = dict.fromkeys(night.poisoned, "poisoned")
        if night.victim is not None and night.victim not in night.protected:
            causes.setdefault(night.victim, "killed")
        if not causes:
            return []
        deaths = [self._doom(player, step, causes[player]) for player in sorted(causes)]
        self._bury_if_done()
        return deaths

    def resolve_bids(self, bids: Mapping[int, int], named_last: Sequence[int] = ()) -> int | None:
        """Give the floor to the highest bid, and count the speech.

        Args:
            bids: urgency, 0 to 4, of all who may speak.
            named_last: players by when they were last named in the talk, the
                latest first. A tie goes to the first of them, then to who has
                spoken least on this day, then to chance.

        Returns:
            Who speaks next; ``None`` if nobody may.
        """
        self._speaker = -1
        if not bids:
            return None
        best = max(bids.values())
        tied = sorted(player for player, bid in bids.items() if bid == best)
        named = [player for player in named_last if player in tied]
        if not named:
            least = min(self._speeches[player] for player in tied)
            named = [player for player in tied if self._speeches[player] == least]
            named = [named[self._draw(len(named))]]
        self._speaker = named[0]
        self._speeches[self._speaker] += 1
        return self._speaker

    def resolve_vote(self, step: Step, named: Mapping[int, int | None]) -> Vote:
        """Apply a vote.

        Args:
            named: vote of every player who may vote, ``None`` for an abstention.
        """
        out, tied = self._elect(step, named)
        if tied:
            self._ballot = tied
            self._queue.insert(0, Step("vote", step.day, step.round + 1))
            return Vote(tied=tied)
        if out is None:
            return Vote()
        if self.held[out].survives_vote():
            self._voiceless.add(out)
            return Vote(spared=out)
        learned: list[Learned] = []
        for player in self._told_of_votes:
            if self.alive[player] and player != out:
                learned += self.held[player].after_vote(self, player, out)
        self._doom(out, step, "voted_out")
        self._bury_if_done()
        return Vote(out, learned=tuple(learned))

    def resolve_shot(self, step: Step, target: int) -> Death:
        """Apply a shot; the target dies with the one who shoots."""
        death = self._doom(target, step, "shot")
        self._bury_if_done()
        return death

    def _elect(
        self, step: Step, named: Mapping[int, int | None]
    ) -> tuple[int | None, tuple[int, ...]]:
        rules, weights = self.rules, self._weights
        votes_for: dict[int, int] = {}
        for player, target in named.items():
            if target is not None:
                votes_for[target] = votes_for.get(target, 0) + weights[player]
        revote = rules.vote_tie == "revote" and step.round == 1
        if rules.vote_rule == "majority":
            all_votes = sum([weights[player] for player in named])
            over = next(
                (target for target, votes in votes_for.items() if 2 * votes > all_votes), None
            )
            return over, (two_most(votes_for) if over is None and revote else ())
        top = most(votes_for)
        if len(top) < 2:
            return (top[0] if top else None), ()
        for player, role in enumerate(self.held):
            if role.breaks_ties(rules) and (choice := named.get(player)) in top:
                return choice, ()
        if revote:
            return None, tuple(top)
        how = rules.vote_tie if step.round == 1 else rules.revote_tie
        return (self._one_of(top) if how == "random" else None), ()

    # --- dying ------------------------------------------------------------

    def _doom(self, player: int, step: Step, cause: Cause) -> Death:
        death = Death(player, step.day, cause)
        self._doomed.append(death)
        if follows := self._follow(death, step):
            waiting = sum(1 for other in self._queue if other.actor >= 0)
            self._queue[waiting:waiting] = follows
        return death

    def _follow(self, death: Death, step: Step) -> list[Step]:
        follows: list[Step] = []
        if death.cause in self.rules.last_words_after:
            follows.append(Step("last_words", step.day, 1, death.player, step.dark))
        if self.held[death.player].shoots(death.cause):
            follows.append(Step("shot", step.day, 1, death.player, step.dark))
        return follows

    def _bury_if_done(self) -> None:
        if not self._doomed or (self._queue and self._queue[0].actor >= 0):
            return
        for death in self._doomed:
            self.alive[death.player] = False
            self._living.remove(death.player)
            self.deaths.append(death)
            self._days_begun_at_death[death.player] = self.days_begun
            role = self.held[death.player]
            self._wolves_left -= role.is_wolf
            if role.wins_by(death.cause):
                self._winner = role.team
        self._doomed.clear()
        if self._winner is None:
            self._winner = self._last_standing()

    # --- the end ----------------------------------------------------------

    def winner(self) -> Team | None:
        """The team that has won by now, if any; deaths that are pending do not count."""
        return self._winner

    def _last_standing(self) -> Team | None:
        wolves = self._wolves_left
        others = len(self._living) - wolves
        if wolves == 0:
            return "village"
        if others == 0 or (self.rules.win_rule == "parity" and wolves >= others):
            return "werewolf"
        return None

    def days_missed(self, player: int) -> int:
        """Days that have begun since the player died; 0 for the living."""
        return self.days_begun - self._days_begun_at_death.get(player, self.days_begun)

    def rewards(self) -> list[float]:
        """Outcome of every player.

        ``plus_minus``: a win is +1 times ``elimination_discount`` per day missed, a
        loss -1, the limit 0; ``win_only``: a loss is 0. ``zero_sum`` then subtracts
        the mean over all players.
        """
        paid = [self._reward(player) for player in range(self.rules.num_players)]
        if self.rules.zero_sum:
            mean = sum(paid) / len(paid)
            paid = [amount - mean for amount in paid]
        return paid

    def _reward(self, player: int) -> float:
        if self._winner is None:
            return 0.0
        if self.team(player) != self._winner:
            return -1.0 if self.rules.outcome_reward == "plus_minus" else 0.0
        return float(self.rules.elimination_discount ** self.days_missed(player))

    # --- chance -----------------------------------------------------------

    def _one_of(self, players: Sequence[int]) -> int | None:
        if not players:
            return None
        return players[self._draw(len(players))]

    def _draw(self, options: int) -> int:
        # An integer from a float: Generator.integers costs five times as much for one number.
        return int(self._rng.random() * options) if options > 1 else 0
