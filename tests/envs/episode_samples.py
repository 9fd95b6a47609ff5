"""Episodes made by hand, for tests of what reads and shows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from omar_envs.types import (
    CHOOSE,
    MODERATOR,
    SCHEMA_VERSION,
    SPEAK,
    Audience,
    Episode,
    Message,
    Request,
    Seat,
    StageRecord,
    Turn,
)
from omar_envs.werewolf.roles import team_of

ANA, BEN, CHLOE, DEV, EMA = AGENTS = tuple(f"player_{index}" for index in range(5))
NAMES = dict(zip(AGENTS, ("Ana", "Ben", "Chloe", "Dev", "Ema"), strict=True))
ROLES = dict(zip(AGENTS, ("werewolf", "seer", "villager", "doctor", "werewolf"), strict=True))


class Recorder:
    """Builds an Episode stage by stage, in the order in which a game would log it."""

    def __init__(self, names: dict[str, str] | None = None) -> None:
        self.names = names or NAMES
        self.stages: list[StageRecord] = []
        self.messages: list[Message] = []
        self.turns: list[Turn] = []

    @property
    def turn(self) -> int:
        return len(self.stages) - 1

    def stage(self, phase: str, label: str, opening: str = "") -> None:
        self.stages.append(StageRecord(len(self.stages), phase, label))
        if opening:
            self.event(opening)

    def event(self, text: str, *audience: str) -> None:
        self.messages.append(Message(self.turn, MODERATOR, audience or None, "event", text))

    def say(
        self, agent: str, text: str, audience: Audience = None, reply: str | None = None
    ) -> None:
        request = Request(SPEAK, "Speak.", max_chars=400)
        self._turn(agent, request, text, text if reply is None else reply)
        self.messages.append(Message(self.turn, agent, audience, "speech", text))

    def choose(
        self,
        agent: str,
        verb: str,
        other: str,
        audience: Audience = None,
        *,
        reply: str | None = None,
        error: str = "",
    ) -> None:
        """``other`` is an agent id; ``error`` makes the act an invalid one."""
        name = self.names[other]
        request = Request(CHOOSE, f"Whom? {verb}", choices=tuple(self.names.values()))
        if error:
            self.event(f"Your reply could not be read; it counts as: {name}.", agent)
        self._turn(agent, request, name, name if reply is None else reply, error)
        self.messages.append(Message(self.turn, agent, audience, "action", f"{verb} {name}."))

    def silent(self, agent: str, reply: str, error: str) -> None:
        self.event("Your reply could not be read; you say nothing.", agent)
        self._turn(agent, Request(SPEAK, "Speak.", max_chars=400), "", reply, error)

    def episode(self, **changes: Any) -> Episode:
        fields: dict[str, Any] = {
            "schema_version": SCHEMA_VERSION,
            "env": "werewolf_v0",
            "config": {"num_players": len(self.names), "private_tags": ["think"]},
            "seed": 7,
            "seats": tuple(
                Seat(agent, name, ROLES.get(agent), "house") for agent, name in self.names.items()
            ),
            "stages": tuple(self.stages),
            "messages": tuple(self.messages),
            "turns": tuple(self.turns),
            "rewards": {agent: {"outcome": 0.0, "invalid": 0.0} for agent in self.names},
            "outcome": {},
            "terminated": True,
            "truncated": False,
        }
        return Episode(**{**fields, **changes})

    def _turn(self, agent: str, request: Request, text: str, reply: str, error: str = "") -> None:
        paid: dict[str, float | None] = {"outcome": 0.0, "invalid": -0.1 if error else 0.0}
        self.turns.append(Turn(self.turn, agent, request, reply, text, not error, error, paid))


def werewolf_game() -> Episode:
    """Five players, two nights, two days; the village wins. It has private chat,
    private reasoning, an unreadable vote and a silent seat."""
    game = Recorder()
    wolves = (ANA, EMA)
    game.stage("wolf_chat", "Night 1", "Night 1 begins.")
    game.say(ANA, "Ben talks like a seer. Him first?", wolves, "<think>Ben is sharp.</think>Ben?")
    game.say(EMA, "Agreed, and I will mourn the loudest tomorrow.", wolves)
    game.stage("night", "Night 1")
    game.choose(ANA, "names as victim:", CHLOE, wolves, reply="<think>a bluff</think>Chloe")
    game.choose(EMA, "names as victim:", CHLOE, wolves)
    game.choose(BEN, "investigates", EMA, (BEN,), reply="<think>Ema is quiet.</think> Ema")
    game.choose(DEV, "protects", BEN, (DEV,))
    game.event("Ema is a werewolf.", BEN)
    game.event("Chloe was killed in the night. Chloe was a villager.")
    game.stage("discussion", "Day 1", "Day 1 begins.")
    game.say(ANA, "Poor Chloe! Who was near her house?")
    game.say(BEN, "I am the seer. I looked at Ema, and she is a werewolf.")
    game.silent(DEV, "<think>I must not talk of the night.</think>", "there is nothing to read")
    game.say(EMA, "A lie! Ben is the wolf, and he knows that I see through him.")
    game.stage("vote", "Day 1")
    game.choose(ANA, "votes for", BEN)
    game.choose(BEN, "votes for", EMA)
    game.choose(
        DEV, "votes for", EMA, reply="Ana or Ema, who knows?", error="names more than one choice"
    )
    game.choose(EMA, "votes for", BEN)
    game.event("Ema was voted out. Ema was a werewolf.")
    game.stage("wolf_chat", "Night 2", "Night 2 begins.")
    game.say(ANA, "I am alone now.", wolves)
    game.stage("night", "Night 2")
    game.choose(ANA, "names as victim:", BEN, wolves)
    game.choose(BEN, "investigates", ANA, (BEN,))
    game.choose(DEV, "protects", BEN, (DEV,))
    game.event("Ana is a werewolf.", BEN)
    game.event("Nobody died in the night.")
    game.stage("discussion", "Day 2", "Day 2 begins.")
    game.say(ANA, "Ben fooled us all. Vote for Ben with me, Dev.")
    game.say(BEN, "Dev kept me alive last night. Ana is the other one.")
    game.say(DEV, "Then we both know what to do.")
    game.stage("vote", "Day 2")
    game.choose(ANA, "votes for", BEN)
    game.choose(BEN, "votes for", ANA)
    game.choose(DEV, "votes for", ANA)
    game.event("Ana was voted out. Ana was a werewolf.")
    game.event("The village wins: no werewolf is left.")
    won = {ANA: -1.0, BEN: 1.0, CHLOE: 0.9, DEV: 1.0, EMA: -1.0}
    rewards: dict[str, dict[str, float | None]] = {
        agent: {"outcome": amount, "invalid": 0.0, "judge": None} for agent, amount in won.items()
    }
    rewards[DEV]["invalid"] = -0.2
    outcome = {
        "winner": "village",
        "days": 2,
        "deaths": [
            {"agent": CHLOE, "day": 1, "cause": "killed", "turn": 1},
            {"agent": EMA, "day": 1, "cause": "voted_out", "turn": 3},
            {"agent": ANA, "day": 2, "cause": "voted_out", "turn": 7},
        ],
    }
    return game.episode(rewards=rewards, outcome=outcome)


class Story:
    """A game of Werewolf made by hand, acts and deaths as told, by display name.

    An act that begins with "!" could not be read: what follows it is what the game
    made of it. Nothing is checked against the rules.
    """

    def __init__(self, **roles: str) -> None:
        self.roles = roles
        self.agents = {name: f"player_{index}" for index, name in enumerate(roles)}
        self.living = list(roles)
        self.stages: list[StageRecord] = []
        self.turns: list[Turn] = []
        self.deaths: list[dict[str, Any]] = []
        self.nights = 0
        self.days = 0
        self.is_day = False

    def night(self, *, killed: str = "", poisoned: str = "", witch: str = "", **acts: str) -> Story:
        self.nights += 1
        self.is_day = False
        self._stage("wolf_chat")
        self._choose("night", acts)
        if witch:
            self._choose("night", {"Witch": witch}, neutral="pass")
        for name, cause in ((killed, "killed"), (poisoned, "poisoned")):
            self._die(name, self.nights, cause)
        return self

    def talk(self, *, phase: str = "discussion", **speeches: str) -> Story:
        if phase == "discussion":
            self._begin_day()
        self._stage(phase)
        for name, text in speeches.items():
            self._turn(name, Request(SPEAK, "Speak.", max_chars=400), text)
        return self

    def vote(self, *, out: str = "", among: Sequence[str] = (), **votes: str) -> Story:
        """``among`` makes it a second ballot."""
        self._begin_day()
        self._choose("vote", votes, neutral="abstain", among=among)
        self._die(out, self.days, "voted_out")
        return self

    def shot(self, day: int, **shots: str) -> Story:
        self._choose("shot", shots)
        for name in shots.values():
            self._die(name.lstrip("!"), day, "shot")
        return self

    def end(self, winner: str | None = None, *, truncated: bool = False) -> Episode:
        teams = {self.agents[name]: team_of(role) for name, role in self.roles.items()}
        return Episode(
            schema_version=SCHEMA_VERSION,
            env="werewolf_v0",
            config={},
            seed=0,
            seats=tuple(Seat(self.agents[name], name, role) for name, role in self.roles.items()),
            stages=tuple(self.stages),
            messages=(),
            turns=tuple(self.turns),
            rewards={},
            outcome={
                "winner": winner,
                "days": self.days,
                "teams": teams,
                "deaths": self.deaths,
            },
            terminated=not truncated,
            truncated=truncated,
        )

    def _begin_day(self) -> None:
        self.days += not self.is_day
        self.is_day = True

    def _stage(self, phase: str) -> None:
        self.stages.append(StageRecord(len(self.stages), phase, phase))

    def _choose(
        self, phase: str, acts: dict[str, str], neutral: str = "", among: Sequence[str] = ()
    ) -> None:
        self._stage(phase)
        for name, text in acts.items():
            choices = [other for other in among or self.living if other != name]
            choices += [neutral] if neutral else []
            self._turn(name, Request(CHOOSE, "Choose.", choices=tuple(choices)), text)

    def _turn(self, name: str, request: Request, text: str) -> None:
        valid = not text.startswith("!")
        error = "" if valid else "names nobody"
        made = text.removeprefix("!")
        number = len(self.stages) - 1
        self.turns.append(Turn(number, self.agents[name], request, text, made, valid, error, {}))

    def _die(self, name: str, day: int, cause: str) -> None:
        if name:
            self.living.remove(name)
            self.deaths.append({"agent": self.agents[name], "day": day, "cause": cause})


def negotiation() -> Episode:
    """Two agents without roles, cut short by a limit."""
    names = {"agent_0": "Lena", "agent_1": "Omar"}
    game = Recorder(names)
    game.stage("conversation", "Turn 1")
    game.say("agent_0", "I can pay 40 for the bicycle.")
    game.say("agent_1", "It is worth 90 to me.")
    game.stage("conversation", "Turn 2")
    game.say("agent_0", "Sixty, and I fetch it today.")
    return game.episode(
        env="sotopia_v0",
        config={},
        seats=tuple(Seat(agent, name) for agent, name in names.items()),
        terminated=False,
        truncated=True,
    )


def speech(text: str, names: dict[str, str] | None = None) -> Episode:
    """A game in which the first agent says ``text`` to everyone, and no more."""
    game = Recorder(names)
    game.stage("discussion", "Day 1")
    game.say(AGENTS[0], text)
    return game.episode()


def changed(episode: Episode, **changes: Any) -> Episode:
    """The same episode with other fields."""
    return msgspec.structs.replace(episode, **changes)
