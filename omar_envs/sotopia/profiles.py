"""Characters, scenarios and relationships, as SOTOPIA publishes them.

Field names are those of the published data (Zhou et al., arXiv 2310.11667). The
primary key is ``pk`` throughout; :mod:`omar_envs.sotopia.importer` reads the other
names that files give it. What published data does not have (``outcome``,
``category``, ``difficulty``, ``pair_relationships``) is optional.
"""

from __future__ import annotations

from enum import IntEnum

import msgspec

from omar_envs.sotopia.mechanisms import AnyOutcome

MIN_PARTICIPANTS = 2
MAX_PARTICIPANTS = 8


class RelationshipType(IntEnum):
    """How close two characters are; who sees what of whom follows from it."""

    stranger = 0
    know_by_name = 1
    acquaintance = 2
    friend = 3
    romantic = 4
    family = 5
    # As the published code spells the last two.
    romantic_relationship = 4
    family_member = 5


class AgentProfile(msgspec.Struct, frozen=True):
    """One character.

    Attributes:
        pk: primary key (``agent_id`` in the published files).
        first_name, last_name: together its display name.
        age: in years; 0 if unknown.
        gender_pronoun: as in ``"She/her"``.
        public_info: what acquaintances know.
        personality_and_values: what friends know.
        secret: what nobody else is ever told.
        The others describe it further and are told to itself alone.
    """

    pk: str
    first_name: str
    last_name: str = ""
    age: int = 0
    occupation: str = ""
    gender: str = ""
    gender_pronoun: str = ""
    public_info: str = ""
    big_five: str = ""
    moral_values: tuple[str, ...] = ()
    schwartz_personal_values: tuple[str, ...] = ()
    personality_and_values: str = ""
    decision_making_style: str = ""
    secret: str = ""
    mbti: str = ""
    model_id: str = ""
    tag: str = ""

    @property
    def name(self) -> str:
        """First and last name."""
        return f"{self.first_name} {self.last_name}".strip()


class PairRelationship(msgspec.Struct, frozen=True):
    """The relationship of two seats of a scenario where it differs from the others'."""

    seats: tuple[int, int]
    relationship: RelationshipType


class EnvironmentProfile(msgspec.Struct, frozen=True):
    """One scenario.

    Attributes:
        pk: primary key (``env_id`` in the published files).
        codename: its short name; not unique in published data.
        source: where it comes from.
        scenario: what all participants read. Text in ``<p viewer="…">`` is for its
            viewer alone (:mod:`omar_envs.sotopia.visibility`).
        agent_goals: one per participant, 2 to 8, told to that participant alone.
        relationship: between any two participants, unless ``pair_relationships``
            says otherwise.
        age_constraint, occupation_constraint, agent_constraint: as published;
            ``None`` where the files say ``"nan"`` or ``"none"``.
        outcome: how the result is computed; ``None`` where only a judge can tell.
        category: as in ``"negotiation"``.
        difficulty: ``easy``, ``medium``, ``hard``, or "" if nobody said.
        pair_relationships: pairs that are closer or further than the rest.
    """

    pk: str
    codename: str
    scenario: str
    agent_goals: tuple[str, ...]
    source: str = ""
    relationship: RelationshipType = RelationshipType.stranger
    age_constraint: str | None = None
    occupation_constraint: str | None = None
    agent_constraint: str | None = None
    tag: str = ""
    outcome: AnyOutcome | None = None
    category: str = ""
    difficulty: str = ""
    pair_relationships: tuple[PairRelationship, ...] = ()

    @property
    def num_agents(self) -> int:
        """How many take part."""
        return len(self.agent_goals)

    def relationship_of(self, seat: int, other: int) -> RelationshipType:
        """The relationship of two seats, which is the same both ways."""
        for pair in self.pair_relationships:
            if set(pair.seats) == {seat, other}:
                return pair.relationship
        return self.relationship


class RelationshipProfile(msgspec.Struct, frozen=True):
    """What two characters are to each other, and how that came."""

    pk: str
    agent_1_id: str
    agent_2_id: str
    relationship: RelationshipType
    background_story: str = ""


class EnvAgentCombo(msgspec.Struct, frozen=True):
    """A scenario with a cast: ``agent_ids[i]`` takes the seat of ``agent_goals[i]``."""

    pk: str
    env_id: str
    agent_ids: tuple[str, ...]


class ScenarioSet(msgspec.Struct, frozen=True):
    """Scenarios and all that belongs to them.

    Attributes:
        agents, environments: by ``pk``.
        relationships, combos: in the order of their files.
        hard: ``pk`` of the combos, or of the environments whatever their cast, that are
            known to be hard.
    """

    agents: dict[str, AgentProfile]
    environments: dict[str, EnvironmentProfile]
    relationships: tuple[RelationshipProfile, ...] = ()
    combos: tuple[EnvAgentCombo, ...] = ()
    hard: tuple[str, ...] = ()

    def meetings(self) -> tuple[tuple[EnvironmentProfile, tuple[AgentProfile, ...]], ...]:
        """The scenario and the cast of each of ``combos``, in order."""
        return tuple(
            (
                self.environments[combo.env_id],
                tuple(self.agents[agent] for agent in combo.agent_ids),
            )
            for combo in self.combos
        )

    def only_hard(self) -> ScenarioSet:
        """The same with the hard combos alone."""
        hard = frozenset(self.hard)
        combos = tuple(c for c in self.combos if c.pk in hard or c.env_id in hard)
        return msgspec.structs.replace(self, combos=combos)

    def casts(self, env_id: str) -> tuple[tuple[AgentProfile, ...], ...]:
        """The casts that are given for a scenario, in order."""
        return tuple(
            tuple(self.agents[agent] for agent in combo.agent_ids)
            for combo in self.combos
            if combo.env_id == env_id
        )
