"""The one loop that plays games: all live games at once.

Whoever may act in any of them is asked in one batch per policy. A policy that can
stream is asked about a game again as soon as that game has its replies; with others
the games go on together. A judge is asked of finished games while the others go on.
"""

from __future__ import annotations

import gc
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager

import msgspec
from pettingzoo import AECEnv

from omar_envs.conversation import ConversationEnv, Observation
from omar_envs.errors import ConfigError, PolicyError
from omar_envs.judging import Judging
from omar_envs.parallel import ConversationParallelEnv
from omar_envs.policy import Policy, Reply, StreamingPolicy
from omar_envs.types import Episode, JudgeResult, View

AnyEnv = AECEnv[str, Observation, str] | ConversationParallelEnv
PolicyFor = Callable[[int, str], Policy]
"""Game number and agent to policy."""


def conversation(env: AnyEnv) -> ConversationEnv:
    """The conversation inside an environment, wrapped or not, AEC or parallel.

    Raises:
        ConfigError: there is none.
    """
    if isinstance(env, ConversationParallelEnv):
        return env.aec
    inner = env.unwrapped if isinstance(env, AECEnv) else None
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
    replies = [""] * len(views)
    for policy, members in _by_policy(policies):
        for i, reply in zip(members, _ask(policy, [views[i] for i in members]), strict=True):
            replies[i] = reply
    return replies


def _by_policy(policies: Sequence[Policy]) -> list[tuple[Policy, list[int]]]:
    """Each policy once, and where it stands in the list."""
    groups: dict[int, list[int]] = {}
    for i, policy in enumerate(policies):
        groups.setdefault(id(policy), []).append(i)
    return [(policies[members[0]], members) for members in groups.values()]


def _ask(policy: Policy, views: Sequence[View]) -> Sequence[str]:
    replies = policy.act(views)
    if len(replies) != len(views):
        raise PolicyError(
            f"policy {policy.name!r} returned {len(replies)} replies to {len(views)} views"
        )
    return replies


class _Desk:
    """Where games leave their questions, and get all replies of a game at once."""

    def __init__(self) -> None:
        # Per game: its replies in the order in which its agents were asked, and how
        # many are still to come.
        self._replies: dict[int, dict[str, str]] = {}
        self._missing: Counter[int] = Counter()
        self._streams: dict[int, tuple[StreamingPolicy, set[tuple[int, str]]]] = {}

    def ask(self, views: Sequence[View], policies: Sequence[Policy]) -> None:
        """Ask each view's policy: those that stream begin, the others answer at once.

        Raises:
            PolicyError: as :func:`ask_all`.
        """
        for view in views:
            self._replies.setdefault(view.game, {})[view.agent] = ""
            self._missing[view.game] += 1
        groups = [(policy, [views[i] for i in at]) for policy, at in _by_policy(policies)]
        for policy, asked in groups:
            if isinstance(policy, StreamingPolicy):
                waiting = self._streams.setdefault(id(policy), (policy, set()))[1]
                waiting.update((view.game, view.agent) for view in asked)
                policy.submit(asked)
        for policy, asked in groups:
            if not isinstance(policy, StreamingPolicy):
                for view, text in zip(asked, _ask(policy, asked), strict=True):
                    self._take(Reply(view.game, view.agent, text))

    @property
    def is_idle(self) -> bool:
        """Whether no question is open."""
        return not self._missing

    def wait(self) -> dict[int, list[str]]:
        """Games that have all their replies, each in the order in which it asked.

        Every policy with open questions is heard once, and again while no game is
        ready: one that answers in batches keeps its games together.

        Raises:
            PolicyError: a policy gave no reply, or one that nobody asked for.
        """
        while True:
            for stream, waiting in self._streams.values():
                if waiting:
                    self._hear(stream, waiting)
            ready = [game for game, missing in self._missing.items() if not missing]
            if ready:
                for game in ready:
                    del self._missing[game]
                return {game: list(self._replies.pop(game).values()) for game in ready}

    def _hear(self, stream: StreamingPolicy, waiting: set[tuple[int, str]]) -> None:
        replies = stream.poll()
        if not replies:
            raise PolicyError(
                f"policy {stream.name!r} has no reply, though {len(waiting)} views wait for one"
            )
        for reply in replies:
            if (reply.game, reply.agent) not in waiting:
                raise PolicyError(
                    f"policy {stream.name!r} replied for {reply.agent} of game {reply.game}, "
                    "whom nobody asked"
                )
            waiting.remove((reply.game, reply.agent))
            self._take(reply)

    def _take(self, reply: Reply) -> None:
        self._replies[reply.game][reply.agent] = reply.text
        self._missing[reply.game] -= 1


def play_games(
    envs: Sequence[AnyEnv],
    seeds: Sequence[int],
    policy_for: PolicyFor,
    *,
    progress: Callable[[int], None] | None = None,
    on_end: Callable[[int, Episode], None] | None = None,
) -> list[Episode]:
    """Play ``len(seeds)`` games on ``len(envs)`` environments at once.

    An environment whose game has ended takes the next seed, so that batches stay
    full; ``view.game`` is the environment's index.

    Args:
        envs: equal environments; at least one.
        seeds: the ``reset`` seed of every game.
        policy_for: policy of each game number (index in ``seeds``) and agent.
        progress: called with the number of finished games whenever it grows.
        on_end: called with each game's number and episode as it ends.

    Returns:
        One episode per seed, in the order of ``seeds``.
    """
    if not envs:
        raise ConfigError("play_games needs at least one environment")
    slots = [conversation(env) for env in envs[: len(seeds)]]
    if len({id(slot) for slot in slots}) < len(slots):
        raise ConfigError("one environment cannot play two games at once: make one for each slot")
    with _waiting_for_judgement(slots), _heap_set_aside(), Judging() as judging:
        return _play_all(envs, slots, seeds, policy_for, judging, progress, on_end)


def _play_all(
    envs: Sequence[AnyEnv],
    slots: Sequence[ConversationEnv],
    seeds: Sequence[int],
    policy_for: PolicyFor,
    judging: Judging,
    progress: Callable[[int], None] | None,
    on_end: Callable[[int, Episode], None] | None,
) -> list[Episode]:
    waiting_seeds = deque(enumerate(seeds))
    live: dict[int, int] = {}
    before_judge: dict[int, tuple[int, Future[JudgeResult]]] = {}
    done: dict[int, Episode] = {}

    def start(slot: int) -> list[int]:
        """Begin the next game, if there is one. -> the slot, or nothing"""
        if not waiting_seeds:
            return []
        live[slot], seed = waiting_seeds.popleft()
        envs[slot].reset(seed=seed)  # the wrappers must know of it too
        return [slot]

    def end(slot: int, number: int) -> list[int]:
        done[number] = _named(slots[slot].episode(), number, policy_for)
        if on_end is not None:
            on_end(number, done[number])
        return start(slot)

    desk = _Desk()
    asking = [slot for i in range(len(slots)) for slot in start(i)]
    while live or before_judge:
        finished = len(done)
        if asking:
            moves = [(slot, agent) for slot in sorted(asking) for agent in slots[slot].acting]
            views = [msgspec.structs.replace(slots[s].view(a), game=s) for s, a in moves]
            desk.ask(views, [policy_for(live[slot], agent) for slot, agent in moves])
        answered = desk.wait() if live else {}
        for slot, replies in answered.items():
            for reply in replies:
                slots[slot].step(reply)
        asking = []
        for slot in sorted(answered):
            if not slots[slot].over:
                asking.append(slot)
                continue
            number, judge = live.pop(slot), slots[slot].judge
            if judge is None:
                asking += end(slot, number)
            else:
                asked = judging.submit(judge, slots[slot].episode())
                before_judge[slot] = (number, asked)
        # Games that go on together do so whenever their judge answers: the batches that a
        # policy sees must not depend on it. Nor is there anything else to do at the end.
        together = desk.is_idle and bool(waiting_seeds)
        for slot, (number, asked) in list(before_judge.items()):
            if together or not live or asked.done():
                slots[slot].bring_judgement(asked.result())
                del before_judge[slot]
                asking += end(slot, number)
        if len(done) > finished and progress is not None:
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


@contextmanager
def _heap_set_aside() -> Iterator[None]:
    """Spare the garbage collector what was there before the games.

    Games make many small objects, and at every so many of them it looks through all that
    the process holds: beside a model that takes longer than the games do. Whoever has
    set objects aside already keeps them so.
    """
    if gc.get_freeze_count():
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


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
