"""A scenario with its cast: all that is the same in every game of the two."""

from __future__ import annotations

import operator
from functools import cached_property
from typing import Any

import msgspec

from omar_envs.parsing import single_line
from omar_envs.sotopia import prompts
from omar_envs.sotopia.profiles import AgentProfile, EnvironmentProfile
from omar_envs.sotopia.settings import Settings, check_names
from omar_envs.sotopia.visibility import (
    described,
    described_in_full,
    described_to_itself,
    full_text,
    visible_text,
)


class Meeting:
    """Who meets, where, and what each is told of it.

    Args:
        scenario: what they find themselves in.
        cast: the characters, in seat order.
        agents: agent id of each seat.
        settings: of the conversation.

    Attributes:
        names: display name of each seat.
        name_of: the same by agent id.
        ids: agent id by whatever a participant may be called, folded: its id, its name,
            and its first name where that is one participant's only.
        closing: the closing acts that the scenario takes.

    Raises:
        ConfigError: two names are alike, or a transcript could not show one.
    """

    def __init__(
        self,
        scenario: EnvironmentProfile,
        cast: tuple[AgentProfile, ...],
        agents: tuple[str, ...],
        settings: Settings,
    ) -> None:
        self.scenario = scenario
        self.cast = cast
        self._agents = agents
        self._omniscient = settings.omniscient
        self.names = tuple(profile.name for profile in cast)
        check_names(self.names)
        self.name_of = dict(zip(agents, self.names, strict=True))
        self.ids = self._called()
        outcome = scenario.outcome
        self.closing = outcome.acts if outcome else ()
        self.terms = prompts.Terms(
            settings.order,
            settings.max_turns,
            outcome.rules(self.names) if outcome else "",
            self.closing,
        )
        # As JSON, so that every reader gets one of its own.
        self._private = tuple(
            msgspec.json.encode(outcome.facts(seat, self.names) if outcome else None)
            for seat in range(len(cast))
        )

    def is_of(self, scenario: EnvironmentProfile, cast: tuple[AgentProfile, ...]) -> bool:
        """Whether it is the meeting of these very profiles."""
        return self.scenario is scenario and all(map(operator.is_, self.cast, cast))

    def _called(self) -> dict[str, str]:
        firsts = [single_line(profile.first_name).casefold() for profile in self.cast]
        ids = {
            first: agent
            for first, agent in zip(firsts, self._agents, strict=True)
            if firsts.count(first) == 1
        }
        ids |= {agent: agent for agent in self._agents}
        return ids | {single_line(name).casefold(): a for a, name in self.name_of.items()}

    @cached_property
    def system_prompts(self) -> tuple[str, ...]:
        """What each seat is told before the conversation begins."""
        return tuple(map(self._system_prompt, range(len(self.cast))))

    def goal(self, seat: int, reader: str) -> str:
        """The goal of ``seat`` as ``reader`` may know it, where it may know it at all."""
        return visible_text(self.scenario.agent_goals[seat], reader, self._agents[seat])

    def private(self, seat: int) -> Any:
        """What ``seat`` alone knows of the outcome, as data; ``None`` if it is not computed."""
        return msgspec.json.decode(self._private[seat])

    def setting(self) -> dict[str, Any]:
        """All of it, secrets included, for judges and for readers of finished games."""
        seats = range(len(self.cast))
        return {
            "codename": self.scenario.codename,
            "scenario": full_text(self.scenario.scenario),
            "participants": {
                agent: {
                    "name": self.names[seat],
                    "background": described_in_full(self.cast[seat]),
                    "goal": self._whole_goal(seat),
                    "secret": self.cast[seat].secret,
                }
                for seat, agent in enumerate(self._agents)
            },
            "relationships": [
                {
                    "agents": [self._agents[one], self._agents[two]],
                    "relationship": self.scenario.relationship_of(one, two).name,
                }
                for one in seats
                for two in seats[one + 1 :]
            ],
        }

    def _system_prompt(self, seat: int) -> str:
        scenario, names, reader = self.scenario, self.names, self._agents[seat]
        others = [other for other in range(len(names)) if other != seat]
        told = prompts.Told(
            name=names[seat],
            background=described_to_itself(self.cast[seat]),
            goal=self.goal(seat, reader),
            private=scenario.outcome.told(seat, names) if scenario.outcome else "",
            others={
                names[other]: described(self.cast[other], scenario.relationship_of(seat, other))
                for other in others
            },
            other_goals={
                names[other]: self.goal(other, reader) for other in others if self._omniscient
            },
        )
        return prompts.system(visible_text(scenario.scenario, reader), told, self.terms)

    def _whole_goal(self, seat: int) -> str:
        goal = full_text(self.scenario.agent_goals[seat])
        outcome = self.scenario.outcome
        return f"{goal} {outcome.told(seat, self.names)}" if outcome else goal
