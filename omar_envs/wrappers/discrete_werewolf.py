"""Werewolf's menu: targets, bids, and a few things to say that bots and probes understand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from omar_envs.types import SPEAK, Message, Request, View
from omar_envs.werewolf.bots import Speech
from omar_envs.werewolf.claims import Finding, read_speech
from omar_envs.werewolf.env import WerewolfEnv
from omar_envs.werewolf.prompts import ABSTAIN, BIDS
from omar_envs.werewolf.prompts import PASS as PASS_NIGHT

_NEUTRAL = (ABSTAIN, PASS_NIGHT)
_KILL = "kill"


class WerewolfMenu:
    """What a player can do, in this order.

    ====================  ==================================================================
    ``pass``              silence, to abstain, the witch's pass
    ``target P``          a vote, a kill, an investigation and the like, for every player P
    ``bid B``             0 to 4, where turns to speak are bid for
    ``claim R``           "I am the R.", for every role R in play
    ``accuse P``          "I suspect P."
    ``defend P``          "P is good."
    ``report wolf P``     "I am the seer. P is a werewolf."
    ``report good P``     "I am the seer. P is not a werewolf."
    ``ask P``             "P, what do you think?"
    ``plan P``            "Let us kill P.", among the wolves by night
    ``agree``             with the last other speaker, and with what that one claimed
    ====================  ==================================================================

    Players are named by their seat: ``target player_2`` is the same act in every game, whoever
    sits there. One speaks of the living others. What is longer than the request allows is not
    legal, unless everything is.

    Args:
        env: whose players, roles and style of speech.
    """

    def __init__(self, env: WerewolfEnv) -> None:
        self._agents = tuple(env.possible_agents)
        self._roles = tuple(role for role, number in env.rules.roles.items() if number)
        self._bids = BIDS if env.rules.discussion == "bidding" else ()
        brief = self._brief = env.table.prompt_style == "terse"
        self._speech = Speech(brief=brief)
        self._about: tuple[tuple[str, Callable[[str], str]], ...] = (
            ("accuse", self._speech.suspect),
            ("defend", lambda name: f"{name} is good{self._stop}"),
            ("report wolf", lambda name: self._speech.report(name, wolf=True)),
            ("report good", lambda name: self._speech.report(name, wolf=False)),
            ("ask", lambda name: f"{name}{'' if brief else ','} what do you think?"),
        )
        self.labels: tuple[str, ...] = (
            "pass",
            *(f"target {agent}" for agent in self._agents),
            *(f"bid {bid}" for bid in self._bids),
            *(f"claim {role}" for role in self._roles),
            *(f"{act} {agent}" for act, _ in self._about for agent in self._agents),
            *(f"plan {agent}" for agent in self._agents),
            "agree",
        )
        self._first_bid = 1 + len(self._agents)
        self._first_claim = self._first_bid + len(self._bids)
        self._first_about = self._first_claim + len(self._roles)
        self._first_plan = self._first_about + len(self._about) * len(self._agents)
        self._agree = len(self.labels) - 1

    @property
    def _stop(self) -> str:
        return "" if self._brief else "."

    def legal(self, view: View) -> Sequence[int]:
        """The acts that answer the request."""
        return list(self._replies(view))

    def reply(self, view: View, action: int) -> str:
        """The label of a choice, or a sentence or two."""
        return self._replies(view)[action]

    def _replies(self, view: View) -> dict[int, str]:
        request = view.request
        assert request is not None  # asked of who is to move
        if request.kind is not SPEAK:
            return dict(self._choices(view, request))
        said = dict(self._whispers(view) if _whispering(view) else self._words(view))
        fitting = {act: text for act, text in said.items() if len(text) <= request.max_chars}
        return ({0: ""} if request.may_pass else {}) | (fitting or said)

    def _choices(self, view: View, request: Request) -> Iterator[tuple[int, str]]:
        for neutral in _NEUTRAL:
            if neutral in request.choices:
                yield 0, neutral
        for seat, agent in enumerate(self._agents):
            if view.names[agent] in request.choices:
                yield 1 + seat, view.names[agent]
        for number, bid in enumerate(self._bids):
            if bid in request.choices:
                yield self._first_bid + number, bid

    def _words(self, view: View) -> Iterator[tuple[int, str]]:
        for number, role in enumerate(self._roles):
            yield (
                self._first_claim + number,
                f"I am {role}" if self._brief else f"I am the {role}.",
            )
        others = self._living_others(view)
        for number, (_, words) in enumerate(self._about):
            first = self._first_about + number * len(self._agents)
            for seat, name in others:
                yield first + seat, words(name)
        heard = _last_heard(view, private=False)
        if heard is not None:
            yield self._agree, self._agreement(view, heard)

    def _whispers(self, view: View) -> Iterator[tuple[int, str]]:
        for seat, name in self._living_others(view):
            if name not in view.facts["partners"]:
                yield self._first_plan + seat, self._speech.plan(name)
        heard = _last_heard(view, private=True)
        if heard is not None:
            yield self._agree, self._agreement(view, heard)

    def _living_others(self, view: View) -> list[tuple[int, str]]:
        alive = view.facts["alive"]
        return [
            (seat, view.names[agent])
            for seat, agent in enumerate(self._agents)
            if agent != view.agent and view.names[agent] in alive
        ]

    def _agreement(self, view: View, heard: Message) -> str:
        speaker = view.names[heard.sender]
        agreed = f"I agree with {speaker}{self._stop}"
        if heard.audience is not None:
            planned = heard.text.partition(f"{_KILL} ")[2].rstrip(".")
            known = planned in view.facts["players"]
            return f"{agreed} {self._speech.plan(planned)}" if known else agreed
        said = read_speech(speaker, heard.text, tuple(view.facts["players"]))
        about = [each for each in (*said.findings, *said.suspicions) if each.target != view.name]
        return f"{agreed} {self._seconded(about[-1])}" if about else agreed

    def _seconded(self, finding: Finding) -> str:
        if finding.wolf:
            return self._speech.suspect(finding.target)
        return f"{finding.target} is good{self._stop}"


def _whispering(view: View) -> bool:
    return bool(view.facts["phase"] == "wolf_chat")


def _last_heard(view: View, private: bool) -> Message | None:
    for message in reversed(view.log):
        if (
            message.kind == "speech"
            and message.sender != view.agent
            and (message.audience is not None) is private
        ):
            return message
    return None
