"""The one loop that plays games: all live games at once, one batch per policy and round."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import msgspec
from pettingzoo import AECEnv

from omar_envs.conversation import ConversationEnv, Observation
from omar_envs.errors import ConfigError, PolicyError
from omar_envs.judging import judged
from omar_envs.parallel import ConversationParallelEnv
from omar_envs.policy import Policy
from omar_envs.types import Episode, View

AnyEnv = AECEnv[str, Observation, str] | ConversationParallelEnv
PolicyFor = Callable[[int, str], Policy]
"""Game number and agent to policy."""


def conversation(env: AnyEnv) -> ConversationEnv:
    """The conversation inside an environment, wrapped or not, AEC or parallel.

    Raises:
        ConfigError: there is none.
    """
    inner = env.aec if isinstance(env, ConversationParallelEnv) else env.unwrapped
    if not isinstance(inner, ConversationEnv):
        raise ConfigError(f"{env} is not a conversation: take one of omar_envs' environments")
    return inner


def ask_all(views: Sequence[View], policies: Sequence[Policy]) -> list[str]:
    """Ask each view's policy, every policy once for all of its views.

    Args:
        views: who may act now.
        policies: the policy of each view.

    Returns:
        One reply per view, in order.

    Raises:
        PolicyError: a policy returned another number of replies than it had views.
    """
    groups: dict[int, list[int]] = {}
    for i, policy in enumerate(policies):
        groups.setdefault(id(policy), []).append(i)
    replies = [""] * len(views)
    for members in groups.values():
        policy = policies[members[0]]
        answers = policy.act([views[i] for i in members])
        if len(answers) != len(members):
            raise PolicyError(
                f"policy {policy.name!r} returned {len(answers)} replies to {len(members)} views"
            )
        for i, answer in zip(members, answers, strict=True):
            replies[i] = answer
    return replies


def play_games(
    envs: Sequence[AnyEnv],
    seeds: Sequence[int],
    policy_for: PolicyFor,
    *,
    progress: Callable[[int], None] | None = None,
) -> list[Episode]:
    """Play ``len(seeds)`` games on ``len(envs)`` environments at once.

    An environment whose game has ended takes the next seed, so that batches stay
    full; ``view.game`` is the environment's index.

    Args:
        envs: equal environments; at least one.
        seeds: the ``reset`` seed of every game.
        policy_for: policy of each game number (index in ``seeds``) and agent.
        progress: called with the number of finished games whenever it grows.

    Returns:
        One episode per seed, in the order of ``seeds``.
    """
    if not envs:
        raise ConfigError("play_games needs at least one environment")
    slots = [conversation(env) for env in envs[: len(seeds)]]
    if len({id(slot) for slot in slots}) < len(slots):
        raise ConfigError("one environment cannot play two games at once: make one for each slot")
    with _waiting_for_judgement(slots):
        return _play_all(envs, slots, seeds, policy_for, progress)


def _play_all(
    envs: Sequence[AnyEnv],
    slots: Sequence[ConversationEnv],
    seeds: Sequence[int],
    policy_for: PolicyFor,
    progress: Callable[[int], None] | None,
) -> list[Episode]:
    numbers: Iterator[int] = iter(range(len(seeds)))
    live: dict[int, int] = {}
    done: dict[int, Episode] = {}

    def start(slot: int) -> None:
        number = next(numbers, None)
        if number is None:
            live.pop(slot, None)
        else:
            envs[slot].reset(seed=seeds[number])  # the wrappers must know of it too
            live[slot] = number

    for slot in range(len(slots)):
        start(slot)
    while live:
        moves = [(slot, agent) for slot in live for agent in slots[slot].acting]
        views = [msgspec.structs.replace(slots[s].view(a), game=s) for s, a in moves]
        replies = ask_all(views, [policy_for(live[slot], agent) for slot, agent in moves])
        for (slot, _), reply in zip(moves, replies, strict=True):
            slots[slot].step(reply)
        finished = [slot for slot in live if slots[slot].over]
        _bring_judgements([slots[slot] for slot in finished])
        for slot in finished:
            number = live[slot]
            done[number] = _named(slots[slot].episode(), number, policy_for)
            start(slot)
        if finished and progress is not None:
            progress(len(done))
    return [done[number] for number in range(len(seeds))]


@contextmanager
def _waiting_for_judgement(envs: Sequence[ConversationEnv]) -> Iterator[None]:
    for env in envs:
        env.waits_for_judgement = True
    try:
        yield
    finally:
        for env in envs:
            env.waits_for_judgement = False


def _bring_judgements(finished: Sequence[ConversationEnv]) -> None:
    by_judge: dict[int, list[ConversationEnv]] = {}
    for env in finished:
        by_judge.setdefault(id(env.judge), []).append(env)
    for envs in by_judge.values():
        if (judge := envs[0].judge) is not None:
            judgements = judged(judge, [env.episode() for env in envs])
            for env, judgement in zip(envs, judgements, strict=True):
                env.bring_judgement(judgement)


def _named(episode: Episode, number: int, policy_for: PolicyFor) -> Episode:
    seats = tuple(
        msgspec.structs.replace(seat, policy=policy_for(number, seat.agent).name)
        for seat in episode.seats
    )
    return msgspec.structs.replace(episode, seats=seats)


def one_policy(
    policy: Policy, overrides: Mapping[str, Policy] | None, agents: Sequence[str]
) -> PolicyFor:
    """The same policy in every seat, but for the agents in ``overrides``.

    Raises:
        ConfigError: ``overrides`` names one that is not in ``agents``.
    """
    special = dict(overrides or {})
    unknown = sorted(set(special) - set(agents))
    if unknown:
        raise ConfigError(
            f"overrides names {', '.join(unknown)}; the agents are {', '.join(agents)}"
        )
    return lambda number, agent: special.get(agent, policy)
