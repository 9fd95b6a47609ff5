"""A referee who knows Werewolf from its page alone, and holds finished games against it.

It reads an Episode: who was asked in which stage, what they might answer and did
answer, who died. From these it works out every stage, list of choices, death, win
and payment anew, by no code of the package's rules. Where the lot decides, it takes
what the lot may have decided.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict, deque
from collections.abc import Collection, Iterable, Sequence

import pytest

from omar_envs.types import MODERATOR, Episode, Turn

TEAMS = {"werewolf": "werewolf", "possessed": "werewolf", "jester": "jester"}
"""Of the roles that are not of the village."""

ROLES = {
    *("villager", "seer", "doctor", "witch", "hunter", "medium", "mayor", "mason", "idiot"),
    *TEAMS,
}
"""What the referee knows of."""

LAST_WORDS = {
    "none": (),
    "day": ("voted_out",),
    "all": ("voted_out", "killed", "poisoned"),
}


class Foul(AssertionError):
    """Something that the rules do not allow; says what was expected."""


def require(right: bool, *otherwise: object) -> None:
    """Raise :class:`Foul` unless ``right``."""
    if not right:
        raise Foul(*otherwise)


def check(episode: Episode) -> None:
    """Hold one finished game against the rules.

    Raises:
        Foul: it was not played by them.
    """
    _Referee(episode).check()


class _Referee:
    def __init__(self, episode: Episode) -> None:
        self.episode = episode
        self.rules = episode.config
        self.roles = {seat.agent: str(seat.role) for seat in episode.seats}
        self.names = {seat.agent: seat.name for seat in episode.seats}
        self.agents = {name: agent for agent, name in self.names.items()}
        self.acts: dict[int, list[Turn]] = defaultdict(list)
        for turn in episode.turns:
            self.acts[turn.turn].append(turn)
        self.stage = -1
        self.living = list(self.roles)
        self.deaths = deque(episode.outcome["deaths"])
        self.days = 0
        self.missed_from: dict[str, int] = {}
        self.winner: str | None = None
        self.voteless: set[str] = set()
        self.protected_last: dict[str, str] = {}
        self.heals = {agent for agent in self.roles if self.is_a(agent, "witch")}
        self.poisons = set(self.heals)
        self.named: list[str] = []
        self.speeches: Counter[str] = Counter()
        self.said: Counter[str] = Counter()

    def check(self) -> None:
        dealt = Counter(self.roles.values())
        require(dealt == Counter(self.rules["roles"]) + Counter(), "another deck", dealt)
        by_night = self.rules["first_phase"] == "night"
        while self.winner is None and not (by_night and self.days == self.rules["max_days"]):
            if by_night:
                self.night()
            else:
                self.day()
            by_night = not by_night
        require(self.stage + 1 == len(self.episode.stages), "stages after the end")
        require(not self.deaths, "deaths that nothing explains", self.deaths)
        self.end()

    # --- what is asked --------------------------------------------------------

    def is_a(self, agent: str, role: str) -> bool:
        return self.roles[agent] == role

    def all_who_are(self, *roles: str) -> list[str]:
        return [agent for agent in self.living if self.roles[agent] in roles]

    def next_stage(self, phase: str) -> list[Turn]:
        self.stage += 1
        require(self.stage < len(self.episode.stages), "the game ends before a stage", phase)
        found = self.episode.stages[self.stage]
        require((found.turn, found.phase) == (self.stage, phase), "not this stage", phase, found)
        return self.acts[self.stage]

    def asked(self, turns: Sequence[Turn], agents: Sequence[str], *, drawn: bool = False) -> None:
        found = [turn.agent for turn in turns]
        right = sorted(found) == sorted(agents) if drawn else found == list(agents)
        require(right, "others are asked", agents, found, self.episode.stages[self.stage])

    def choices(self, turn: Turn, agents: Iterable[str], *ways_out: str) -> str | None:
        """Holds the choices against the right ones; who was named, ``None`` for a way out."""
        right = (*(self.names[agent] for agent in agents), *ways_out)
        require(turn.request.choices == right, "other choices", turn.agent, right, turn.request)
        require(turn.text in right, "an answer that was no choice", turn)
        return None if turn.text in ways_out else self.agents[turn.text]

    # --- night ----------------------------------------------------------------

    def night(self) -> None:
        number = self.days + (self.rules["first_phase"] == "night")
        wolves = self.all_who_are("werewolf")
        for _ in range(self.rules["wolf_chat_rounds"]):
            self.asked(self.next_stage("wolf_chat"), wolves if len(wolves) > 1 else [])
        deadly = self.rules["first_night_kill"] or number > 1
        turns = self.next_stage("night")
        self.asked(turns, self.all_who_are("seer", *(("werewolf", "doctor") if deadly else ())))
        attacked: Counter[str] = Counter()
        safe: set[str] = set()
        for turn in turns:
            named = self.choices(turn, self.may_be_named(turn.agent))
            assert named is not None
            if self.is_a(turn.agent, "werewolf"):
                attacked[named] += 1
            elif self.is_a(turn.agent, "doctor"):
                safe.add(named)
                self.protected_last[turn.agent] = named
        victims = top(attacked)
        if len(victims) > 1 and self.rules["kill_tie"] == "none":
            victims = []
        poisoned: set[str] = set()
        if self.rules["roles"]["witch"]:
            victims = self.witches(victims, safe, poisoned, deadly=deadly)
        dead = self.who_died(number, "killed", "poisoned")
        killed = [agent for agent in dead if agent not in poisoned]
        require(poisoned <= set(dead), "poison that does not kill", poisoned, dead)
        require(len(killed) < 2 and set(killed) <= {*victims} - safe, "not the victim", killed)
        survivable = not victims or any(victim in safe | poisoned for victim in victims)
        require(bool(killed) or survivable, "a victim who lives", victims)
        self.die([(a, "poisoned" if a in poisoned else "killed") for a in dead], number)

    def may_be_named(self, agent: str) -> list[str]:
        others = [other for other in self.living if other != agent]
        if self.is_a(agent, "werewolf"):
            return [other for other in self.living if not self.is_a(other, "werewolf")]
        if self.is_a(agent, "doctor"):
            patients = list(self.living) if self.rules["doctor_self_save"] else others
            last = None if self.rules["doctor_repeat_save"] else self.protected_last.get(agent)
            return [a for a in patients if a != last] if len(patients) > 1 else patients
        return others

    def witches(
        self, victims: list[str], safe: set[str], poisoned: set[str], *, deadly: bool
    ) -> list[str]:
        """Their potions; returns who may still be the victim, now that they were told."""
        turns = self.next_stage("night")
        awake = [a for a in self.all_who_are("witch") if deadly and self.has_use(a, victims)]
        self.asked(turns, awake)
        for turn in turns:
            told = re.findall(
                r"(?:The werewolves chose|victim) (.+?)[. ]", turn.request.instruction
            )
            names = [self.names[victim] for victim in victims]
            can_heal = turn.agent in self.heals
            require(bool(told) == bool(can_heal and victims), "told too much", told)
            require(set(told) <= set(names), "told of another victim", told, names)
            if told:
                victims = [self.agents[told[0]]]
        before = self.heals.copy(), self.poisons.copy()
        for turn in turns:
            witch = turn.agent
            heals, poisons = (witch in potions for potions in before)
            right = [
                other
                for other in self.living
                if (heals and other in victims) or (poisons and other != witch)
            ]
            named = self.choices(turn, right, "pass")
            if named is None:
                continue
            if heals and named in victims:
                self.heals.remove(witch)
                safe.add(named)
            else:
                self.poisons.remove(witch)
                poisoned.add(named)
        return victims

    def has_use(self, witch: str, victims: Collection[str]) -> bool:
        return witch in self.poisons or (witch in self.heals and bool(victims))

    # --- day ------------------------------------------------------------------

    def day(self) -> None:
        self.days += 1
        self.named, self.speeches, self.said = [], Counter(), Counter()
        order: list[str] | None = None
        for _ in range(self.rules["discussion_rounds"]):
            if self.rules["discussion"] == "bidding":
                self.speech_for_a_bid()
                continue
            turns = self.next_stage("discussion")
            drawn = self.rules["discussion"] in ("random_order", "daily_order")
            self.asked(turns, self.who_has_words_left(), drawn=drawn)
            spoke = [turn.agent for turn in turns]
            if self.rules["discussion"] == "daily_order" and order is not None:
                require(spoke == [a for a in order if a in spoke], "another order", order, spoke)
            order = order or spoke
            self.hear(turns)
        if self.days > 1 or self.rules["first_day_vote"]:
            self.vote()

    def who_has_words_left(self) -> list[str]:
        budget = self.rules["speech_budget"]
        return [a for a in self.living if budget is None or self.said[a] < budget]

    def speech_for_a_bid(self) -> None:
        bids = self.next_stage("bid")
        self.asked(bids, self.who_has_words_left())
        for turn in bids:
            require(turn.request.choices == ("0", "1", "2", "3", "4"), "other bids", turn)
        turns = self.next_stage("discussion")
        require(len(turns) == bool(bids), "not one speaker", turns)
        if turns:
            speaker = turns[0].agent
            tied = top({turn.agent: int(turn.text) for turn in bids})
            called = [agent for agent in self.named if agent in tied]
            least = min(self.speeches[agent] for agent in tied)
            quiet = [agent for agent in tied if self.speeches[agent] == least]
            require(speaker in (called[-1:] or quiet), "another's turn to speak", called, quiet)
            self.speeches[speaker] += 1
            self.hear(turns)

    def hear(self, turns: Sequence[Turn]) -> None:
        for turn in turns:
            limit, budget = self.rules["max_speech_chars"], self.rules["speech_budget"]
            left = limit if budget is None else min(limit, budget - self.said[turn.agent])
            require(turn.request.max_chars == left, "another length", left, turn)
            require(len(turn.text) <= left, "a speech that is too long", turn)
            self.said[turn.agent] += len(turn.text)
        for turn in turns:
            for word in re.findall(r"\w+", turn.text):
                agent = self.agents.get(word.capitalize())
                if agent is not None and agent != turn.agent:
                    self.named = [a for a in self.named if a != agent] + [agent]

    def vote(self) -> None:
        out, tied = self.ballot(self.living, again=False)
        if tied:
            out, _ = self.ballot(tied, again=True)
        stays = self.who_stays()
        gone = self.who_died(self.days, "voted_out")
        if stays is not None:
            require(self.is_a(stays, "idiot") and stays not in self.voteless, "no idiot", stays)
            require(stays in out and not gone, "stays and goes", stays, gone)
            self.voteless.add(stays)
            return
        require(len(gone) < 2 and set(gone or [None]) <= out, "not voted out", gone, out)
        for agent in gone:
            require(not self.is_a(agent, "idiot") or agent in self.voteless, "an idiot dies")
        self.die([(agent, "voted_out") for agent in gone], self.days)

    def ballot(
        self, candidates: Sequence[str], *, again: bool
    ) -> tuple[set[str | None], list[str]]:
        """Who may be out by one ballot, ``None`` for nobody; or between whom there is another."""
        rules = self.rules
        turns = self.next_stage("vote")
        voters = [agent for agent in self.living if agent not in self.voteless]
        drawn = rules["voting"] == "sequential" and rules["discussion"].endswith("_order")
        self.asked(turns, voters, drawn=drawn)
        weight = {a: self.weight(a) for a in voters}
        votes: Counter[str] = Counter()
        favoured: list[str] = []
        for turn in sorted(turns, key=lambda turn: voters.index(turn.agent)):
            right = [a for a in candidates if rules["allow_self_vote"] or a != turn.agent]
            ways_out = ("abstain",) if rules["allow_abstain"] else ()
            named = self.choices(turn, right, *ways_out)
            if named is not None:
                votes[named] += weight[turn.agent]
                if self.is_a(turn.agent, "mayor") and rules["mayor_vote"] == "tiebreak":
                    favoured.append(named)
        first = top(votes)
        revote = rules["vote_tie"] == "revote" and not again
        if rules["vote_rule"] == "majority":
            chosen = [a for a in first if 2 * votes[a] > sum(weight.values())]
            if chosen or not revote or len(votes) < 2:
                return {*chosen} or {None}, []
            second = sorted(votes.values())[-2]
            return set(), [a for a in self.living if votes[a] >= second]
        if len(first) < 2:
            return {*first} or {None}, []
        decided = [a for a in favoured if a in first]
        if decided:
            return {decided[0]}, []
        if revote:
            return set(), first
        return (
            {*first} if rules["revote_tie" if again else "vote_tie"] == "random" else {None}
        ), []

    def weight(self, agent: str) -> int:
        double = self.is_a(agent, "mayor") and self.rules["mayor_vote"] == "double"
        return 1 + double

    def who_stays(self) -> str | None:
        for message in self.episode.messages:
            if message.turn == self.stage and message.sender == MODERATOR:
                name, stays, _ = message.text.partition(" stays")
                agent = self.agents.get(re.sub(r" was voted out.*", "", name))
                if stays and agent is not None:
                    return agent
        return None

    # --- dying ----------------------------------------------------------------

    def who_died(self, number: int, *causes: str) -> list[str]:
        found = []
        for death in self.deaths:
            if death["day"] != number or death["cause"] not in causes:
                break
            found.append(death["agent"])
        return found

    def die(self, dying: list[tuple[str, str]], number: int) -> None:
        """Last words and shots of the dying, and whom they take along; then the living count."""
        speak = [a for a, cause in dying if cause in LAST_WORDS[self.rules["last_words"]]]
        shoot = [a for a, cause in dying if self.is_a(a, "hunter") and cause != "poisoned"]
        while speak or shoot:
            left = [a for a in self.living if a not in dict(dying)]
            if self.episode.stages[self.stage + 1].phase == "last_words":
                (turn,) = self.next_stage("last_words")
                require(turn.agent in speak, "who is not to speak", turn)
                speak.remove(turn.agent)
                continue
            turns = self.next_stage("shot")
            require(len(turns) == bool(left), "not one shot", turns)
            if not turns:
                shoot.pop()
                continue
            (turn,) = turns
            require(turn.agent in shoot and turn.agent not in speak, "who is not to shoot", turn)
            shoot.remove(turn.agent)
            target = self.choices(turn, left)
            assert target is not None
            dying.append((target, "shot"))
            if self.is_a(target, "hunter"):
                shoot.append(target)
        for agent, cause in dying:
            told = self.deaths.popleft()
            right = {"agent": agent, "day": number, "cause": cause}
            require(told == right, "another death", right, told)
            self.living.remove(agent)
            self.missed_from[agent] = self.days
            if self.is_a(agent, "jester") and cause == "voted_out":
                self.winner = "jester"
        if dying and self.winner is None:
            self.winner = self.last_standing()

    def last_standing(self) -> str | None:
        wolves = len(self.all_who_are("werewolf"))
        others = len(self.living) - wolves
        if not wolves:
            return "village"
        parity = self.rules["win_rule"] == "parity" and wolves >= others
        return "werewolf" if parity or not others else None

    # --- the end --------------------------------------------------------------

    def end(self) -> None:
        outcome, winner = self.episode.outcome, self.winner
        teams = {agent: TEAMS.get(role, "village") for agent, role in self.roles.items()}
        reasons = {"village": "no_werewolves", "jester": "voted_out", None: "max_days"}
        require(outcome["winner"] == winner, "another winner", winner, outcome)
        require(outcome["reason"] == reasons.get(winner, self.rules["win_rule"]), "reason")
        require(outcome["days"] == self.days, "another number of days", self.days)
        require(outcome["teams"] == teams, "other teams", teams)
        require(self.episode.truncated is (winner is None), "truncated")
        require(self.episode.terminated is (winner is not None), "terminated")
        paid = {agent: self.pay(agent, team) for agent, team in teams.items()}
        if self.rules["zero_sum"]:
            mean = sum(paid.values()) / len(paid)
            paid = {agent: amount - mean for agent, amount in paid.items()}
        for agent, amount in paid.items():
            found = self.episode.rewards[agent]["outcome"]
            require(found == pytest.approx(amount), "other pay", agent, amount, found)

    def pay(self, agent: str, team: str) -> float:
        if self.winner is None:
            return 0.0
        if team != self.winner:
            return -1.0 if self.rules["outcome_reward"] == "plus_minus" else 0.0
        missed = self.days - self.missed_from.get(agent, self.days)
        return float(self.rules["elimination_discount"] ** missed)


def top(counted: dict[str, int] | Counter[str]) -> list[str]:
    """Who has most, in seat order; nobody if there is nobody."""
    most = max(counted.values(), default=0)
    return sorted((a for a, n in counted.items() if n == most), key=lambda a: int(a[7:]))
