"""The settings of ``sotopia_v0``, checked, and the cast that a game is dealt from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args
from unicodedata import normalize

import msgspec
import numpy as np

from omar_envs.errors import ConfigError
from omar_envs.parsing import DEFAULT_PRIVATE_TAGS, single_line
from omar_envs.sotopia import importer, library
from omar_envs.sotopia.profiles import (
    MAX_PARTICIPANTS,
    MIN_PARTICIPANTS,
    AgentProfile,
    EnvironmentProfile,
    ScenarioSet,
)
from omar_envs.types import Judge

Order = Literal["simultaneous", "round_robin", "random"]
Reward = Literal["outcome", "judge", "none"]

_Profile = TypeVar("_Profile", AgentProfile, EnvironmentProfile, ScenarioSet)

NO_JUDGE = (
    "reward='judge' needs a judge. Start a local model and name it:\n"
    "    vllm serve Qwen/Qwen3-8B --port 8000\n"
    "    sotopia_v0.env(reward='judge', judge=omar_envs.judge.OpenAIJudge("
    "'Qwen/Qwen3-8B', base_url='http://localhost:8000/v1'))\n"
    "On the command line, play with --set reward=none and let `omar-envs judge` score the "
    "episodes.\n"
    "Or take computed outcomes, which need none: reward='outcome'"
)


@dataclass(frozen=True)
class Settings:
    """Everything about the conversation but who takes part in which scenario."""

    order: Order = "simultaneous"
    max_turns: int = 20
    max_idle_turns: int | None = 2
    min_present: int = 2
    omniscient: bool = False
    reward: Reward = "outcome"
    invalid_penalty: float = 0.0
    judge_weight: float = 1.0
    max_speech_chars: int = 2000
    private_tags: tuple[str, ...] = DEFAULT_PRIVATE_TAGS

    def __post_init__(self) -> None:
        _one_of("order", self.order, get_args(Order))
        _one_of("reward", self.reward, get_args(Reward))
        _at_least("max_turns", self.max_turns, 1)
        _at_least("max_speech_chars", self.max_speech_chars, 1)
        _at_least("min_present", self.min_present, 1)
        if self.max_idle_turns is not None:
            _at_least("max_idle_turns", self.max_idle_turns, 0)
        if not isinstance(self.omniscient, bool):
            raise ConfigError(f"omniscient must be True or False: got {self.omniscient!r}")
        tags = self.private_tags
        if not isinstance(tags, list | tuple) or not all(isinstance(t, str) and t for t in tags):
            raise ConfigError(f"private_tags must be a list of tag names: got {tags!r}")
        object.__setattr__(self, "private_tags", tuple(tags))


def checked_judge(reward: Reward, judge: Judge | None) -> Judge | None:
    """The judge, where the reward is its.

    Raises:
        ConfigError: one is given and never asked, or needed and not given.
    """
    if reward == "judge" and judge is None:
        raise ConfigError(NO_JUDGE)
    if reward != "judge" and judge is not None:
        raise ConfigError(f"a judge is asked only with reward='judge': got reward={reward!r}")
    return judge


def chosen_scenarios(
    scenario: object, num_agents: int | None, reward: Reward
) -> tuple[EnvironmentProfile, ...]:
    """The scenarios that games are drawn from: one or more, with as many participants each.

    Raises:
        ConfigError: there is none like that, they differ in their number of
            participants or have another one than ``num_agents``, or the reward needs a
            computed outcome that one of them has not.
    """
    if num_agents is not None:
        _at_least("num_agents", num_agents, MIN_PARTICIPANTS)
        if num_agents > MAX_PARTICIPANTS:
            raise ConfigError(f"num_agents must be 2 to {MAX_PARTICIPANTS}: got {num_agents}")
    if scenario is None:
        found = [library.default_scenario(num_agents or MIN_PARTICIPANTS)]
    elif isinstance(scenario, str | EnvironmentProfile | Mapping):
        found = [_scenario(scenario)]
    elif isinstance(scenario, Sequence) and scenario:
        found = [_scenario(item) for item in scenario]
    else:
        raise ConfigError(
            "scenario must be the name of a shipped scenario, an EnvironmentProfile, a list of "
            f"these, or a ScenarioSet: got {_shortened(scenario)}"
        )
    for profile in found:
        _check_scenario(profile, num_agents or found[0].num_agents, reward)
    return tuple(found)


def read_set(scenario: object) -> object:
    """The set of scenarios, where one is meant by a file's name or by plain JSON types.

    Raises:
        ConfigError, EpisodeError: the file, or what is given, is none.
    """
    if isinstance(scenario, str) and scenario.endswith(".json"):
        return importer.read(scenario)
    if isinstance(scenario, Mapping) and "environments" in scenario:
        return _converted(scenario, ScenarioSet, "set of scenarios")
    return scenario


def chosen_meetings(
    given: ScenarioSet, num_agents: int | None, reward: Reward
) -> tuple[tuple[EnvironmentProfile, tuple[AgentProfile, ...]], ...]:
    """Those scenarios of a set, each with a cast, that the other settings leave.

    Raises:
        ConfigError: there is none, or they differ in their number of participants.
    """
    found = [
        (scenario, cast)
        for scenario, cast in given.meetings()
        if num_agents in (None, scenario.num_agents)
        and (reward != "outcome" or scenario.outcome is not None)
    ]
    if not found:
        raise ConfigError(
            f"none of the {len(given.combos)} combinations of the set fits num_agents={num_agents} "
            f"and reward={reward!r}"
        )
    for scenario, cast in found:
        _check_scenario(scenario, found[0][0].num_agents, reward)
        check_cast(scenario, cast)
    return tuple(found)


def chosen_cast(agents: object, num_agents: int) -> tuple[AgentProfile, ...] | None:
    """The characters in seat order, ``None`` where each game is dealt its own.

    Raises:
        ConfigError: they are not as many as the seats, are not all different, or are
            unknown.
    """
    if agents is None:
        return None
    if isinstance(agents, str) or not isinstance(agents, Sequence) or len(agents) != num_agents:
        raise ConfigError(
            f"agents must be a list of {num_agents} characters: got {_shortened(agents)}"
        )
    cast = tuple(_character(agent) for agent in agents)
    check_names([profile.name for profile in cast])
    return cast


def dealt_cast(
    scenario: EnvironmentProfile, generator: np.random.Generator
) -> tuple[AgentProfile, ...]:
    """One of the casts given for a scenario, or any characters of the right number."""
    shipped = library.library()
    casts = shipped.casts(scenario.pk)
    if casts:
        return casts[int(generator.integers(len(casts)))]
    everybody = list(shipped.agents.values())
    order = generator.permutation(len(everybody))[: scenario.num_agents]
    return tuple(everybody[i] for i in order.tolist())


def check_cast(scenario: EnvironmentProfile, cast: Sequence[AgentProfile]) -> None:
    """Refuse characters whose names a transcript, or the outcome's acts, could confuse.

    Raises:
        ConfigError: as said.
    """
    names = tuple(profile.name for profile in cast)
    check_names(names)
    if scenario.outcome is not None:
        scenario.outcome.open(names)


def check_names(names: Sequence[str]) -> None:
    """Refuse names that a transcript could not tell apart, or from its own marks.

    Raises:
        ConfigError: as said.
    """
    folded = [single_line(normalize("NFKC", name)).casefold() for name in names]
    if len(set(folded)) < len(folded):
        raise ConfigError(f"two participants have the same name: {', '.join(names)}")
    for name in names:
        if not name or not name.isprintable() or set(name) & set(':[](){}"*'):
            raise ConfigError(
                f"a participant's name must be one line without : [ ] ( ) {{ }} \" *: got {name!r}"
            )


def stored(profile: EnvironmentProfile | AgentProfile | ScenarioSet) -> Any:
    """A profile in plain JSON types: its key if it is a shipped one, else all of it."""
    shipped = library.library()
    if isinstance(profile, EnvironmentProfile | AgentProfile):
        known: Mapping[str, EnvironmentProfile | AgentProfile] = (
            shipped.environments if isinstance(profile, EnvironmentProfile) else shipped.agents
        )
        if known.get(profile.pk) == profile:
            return profile.pk
    # By way of JSON, which makes lists of tuples.
    return msgspec.json.decode(msgspec.json.encode(profile))


def _scenario(item: object) -> EnvironmentProfile:
    if isinstance(item, str):
        return library.scenario(item)
    if isinstance(item, EnvironmentProfile):
        return item
    return _converted(item, EnvironmentProfile, "scenario")


def _character(item: object) -> AgentProfile:
    if isinstance(item, str):
        return library.character(item)
    if isinstance(item, AgentProfile):
        return item
    return _converted(item, AgentProfile, "character")


def _converted(item: object, kind: type[_Profile], what: str) -> _Profile:
    unknown = sorted(set(item) - set(kind.__struct_fields__)) if isinstance(item, Mapping) else []
    if unknown:
        raise ConfigError(f"a {what} has no {unknown[0]!r}")
    try:
        return msgspec.convert(item, kind)
    except msgspec.ValidationError as error:
        raise ConfigError(f"this is no {what}: {error}") from None


def _check_scenario(profile: EnvironmentProfile, num_agents: int, reward: Reward) -> None:
    if not MIN_PARTICIPANTS <= profile.num_agents <= MAX_PARTICIPANTS:
        raise ConfigError(
            f"scenario {profile.pk!r} has {profile.num_agents} goals: it takes 2 to 8 participants"
        )
    if profile.num_agents != num_agents:
        raise ConfigError(
            f"scenario {profile.pk!r} has {profile.num_agents} participants, not {num_agents}"
        )
    if profile.outcome is not None and profile.outcome.num_seats != num_agents:
        raise ConfigError(
            f"scenario {profile.pk!r} has {num_agents} goals and an outcome for "
            f"{profile.outcome.num_seats}"
        )
    for pair in profile.pair_relationships:
        if len(set(pair.seats)) < 2 or not all(0 <= seat < num_agents for seat in pair.seats):
            raise ConfigError(f"scenario {profile.pk!r} relates the seats {pair.seats}")
    if reward == "outcome" and profile.outcome is None:
        raise ConfigError(
            f"scenario {profile.pk!r} has no outcome that can be computed: take reward='judge' or "
            "'none', or one of omar_envs.sotopia.library.scenarios(computed=True)"
        )


def _shortened(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}…"


def _one_of(name: str, value: object, known: Sequence[str]) -> None:
    if value not in known:
        raise ConfigError(f"{name} must be {', '.join(map(repr, known))}: got {value!r}")


def _at_least(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"{name} must be a whole number, at least {least}: got {value!r}")
