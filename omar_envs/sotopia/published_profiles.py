"""One row of a published file as a profile.

Each reader raises :class:`~omar_envs.sotopia.published_rows.FieldError` where the row
is damaged, and knows the names that either format gives a field.
"""

from __future__ import annotations

from omar_envs.sotopia.profiles import (
    MAX_PARTICIPANTS,
    MIN_PARTICIPANTS,
    AgentProfile,
    EnvAgentCombo,
    EnvironmentProfile,
    RelationshipProfile,
)
from omar_envs.sotopia.published_rows import FieldError, Fields, Row

_AGE_LIMIT = 150


def _key(row: Row, fields: Fields, *names: str) -> str:
    """The primary key, under whichever name; where several have one, they agree."""
    given = {name: fields.key(name) for name in names if fields.given(name)[1] is not None}
    if row.key:
        given["the dictionary"] = row.key
    if len(set(given.values())) > 1:
        told = ", ".join(f"{pk!r} in {name}" for name, pk in given.items())
        raise FieldError(names[0], f"it has more than one key: {told}")
    if not given:
        raise FieldError(names[0], "it is missing")
    return next(iter(given.values()))


def agent(row: Row, fields: Fields) -> AgentProfile:
    """A character."""
    text = fields.text
    return AgentProfile(
        pk=_key(row, fields, "agent_id", "pk"),
        first_name=text("first_name", default=None),
        last_name=text("last_name"),
        age=fields.whole("age", least=0, most=_AGE_LIMIT),
        occupation=text("occupation"),
        gender=text("gender"),
        gender_pronoun=text("gender_pronoun"),
        public_info=text("public_info"),
        big_five=text("big_five"),
        moral_values=fields.texts("moral_values"),
        schwartz_personal_values=fields.texts("schwartz_personal_values"),
        personality_and_values=text("personality_and_values"),
        decision_making_style=text("decision_making_style"),
        secret=text("secret"),
        mbti=text("mbti"),
        model_id=text("model_id"),
        tag=text("tag"),
    )


def environment(row: Row, fields: Fields) -> EnvironmentProfile:
    """A scenario, without an outcome."""
    pk = _key(row, fields, "env_id", "pk", "scenario_id")
    goals = fields.texts("agent_goals")
    if not MIN_PARTICIPANTS <= len(goals) <= MAX_PARTICIPANTS:
        raise FieldError("agent_goals", f"{len(goals)} goals; a scenario has 2 to 8")
    return EnvironmentProfile(
        pk=pk,
        codename=fields.text("codename") or pk,
        scenario=fields.text("scenario", default=None),
        agent_goals=goals,
        source=fields.text("source"),
        relationship=fields.relationship("relationship"),
        age_constraint=fields.constraint("age_constraint"),
        occupation_constraint=fields.constraint("occupation_constraint"),
        agent_constraint=fields.constraint("agent_constraint"),
        tag=fields.text("tag"),
    )


def relationship(row: Row, fields: Fields) -> RelationshipProfile:
    """What two characters are to each other."""
    profile = RelationshipProfile(
        pk=_key(row, fields, "relationship_id", "pk"),
        agent_1_id=fields.key("agent_1_id", "agent1_id"),
        agent_2_id=fields.key("agent_2_id", "agent2_id"),
        relationship=fields.relationship("relationship"),
        background_story=fields.text("background_story"),
    )
    if profile.agent_1_id == profile.agent_2_id:
        raise FieldError("agent_2_id", "both agents are the same")
    return profile


def combo(row: Row, fields: Fields) -> EnvAgentCombo:
    """A scenario with a cast."""
    agents = fields.texts("agent_ids")
    if not MIN_PARTICIPANTS <= len(agents) <= MAX_PARTICIPANTS:
        raise FieldError("agent_ids", f"{len(agents)} agents; a cast has 2 to 8")
    if len(set(agents)) < len(agents):
        raise FieldError("agent_ids", "an agent is in it twice")
    return EnvAgentCombo(
        pk=_key(row, fields, "combo_id", "pk"), env_id=fields.key("env_id"), agent_ids=agents
    )
