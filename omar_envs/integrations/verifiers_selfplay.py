"""The classes of :mod:`omar_envs.integrations.verifiers`, which says what they do."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from itertools import count
from typing import TYPE_CHECKING, Any

from omar_envs.by_name import Game, environment_name, policy_by_name
from omar_envs.conversation import ConversationEnv
from omar_envs.errors import ConfigError, PolicyError
from omar_envs.integrations.libraries import library
from omar_envs.policy import Policy
from omar_envs.types import Episode

if TYPE_CHECKING:
    import verifiers.v1 as vf
else:
    vf = library("verifiers", "v1")


class SelfPlayTasksetConfig(vf.TasksetConfig):
    """Which games are played: under ``--env.taskset``."""

    game: str = "werewolf"
    """``werewolf`` or ``sotopia``."""
    settings: dict[str, Any] = {}
    """Arguments of ``werewolf_v0`` or ``sotopia_v0``."""
    seed: int = 0
    """Seed of the first game; game i is reset with ``seed + i``."""


class SelfPlayData(vf.TaskData):
    """One game to play."""

    env: str
    settings: dict[str, Any]
    seed: int


class SelfPlayTask(vf.Task[SelfPlayData]):
    """One game; scoring is the game's own, on the traces of its seats."""


class SelfPlayTaskset(vf.Taskset[SelfPlayTask, SelfPlayTasksetConfig]):
    """Games on consecutive seeds, without end."""

    INFINITE = True

    def load(self) -> Iterator[SelfPlayTask]:
        """Yield the games.

        Raises:
            ConfigError: the game is unknown or a setting impossible.
        """
        env = environment_name(self.config.game)
        Game(env, self.config.settings).make()
        for number in count():
            seed = self.config.seed + number
            yield SelfPlayTask(
                SelfPlayData(
                    idx=number,
                    name=f"{env}#{seed}",
                    prompt=None,
                    env=env,
                    settings=self.config.settings,
                    seed=seed,
                ),
                self.config.task,
            )


class SelfPlayEnvConfig(vf.EnvConfig):
    """Who plays: under ``--env``."""

    player: vf.AgentConfig = vf.AgentConfig(harness={"id": "null"}, runtime=vf.SubprocessConfig())
    opponent: vf.AgentConfig = vf.AgentConfig(harness={"id": "null"}, runtime=vf.SubprocessConfig())
    opponent_seats: list[int] = []
    """Indices of the seats that ``opponent`` plays; all others are ``player``'s."""
    opponent_policy: str = ""
    """Plays the opponent's seats in its place: ``random``, ``scripted``, ``house``, …"""
    max_concurrent_agents: int | None = None
    """Seats asked at the same time; no limit, as nobody waits for one another in a stage."""


class SelfPlayEnv(vf.Env[SelfPlayEnvConfig]):
    """A game whose seats are interactions with one model."""

    async def setup(self, agents: Any) -> None:
        """The opponent is what is played against, never what is trained."""
        agents.opponent.trainable = False

    async def run(self, task: Any, agents: Any) -> None:
        """Play one game and pay its seats.

        Raises:
            ConfigError: a seat of the opponent's is none of the game's, or the policy that
                is to play it is unknown.
        """
        game = Game(task.data.env, task.data.settings)
        env = game.make()
        env.reset(seed=task.data.seed)
        theirs = self._opponent_agents(env.possible_agents)
        name, seed = self.config.opponent_policy, task.data.seed
        policy = policy_by_name(name, seed, game) if name else None
        async with AsyncExitStack() as stack:
            seats: dict[str, _Seat | Policy] = {}
            for agent in env.possible_agents:
                if agent in theirs and policy is not None:
                    seats[agent] = policy
                    continue
                told = vf.TaskData(
                    idx=task.data.idx,
                    prompt=None,
                    system_prompt=env.view(agent).messages[0]["content"],
                )
                player = agents.opponent if agent in theirs else agents.player
                live = await stack.enter_async_context(player.interaction(vf.Task(told)))
                seats[agent] = _Seat(live)
            await _play(env, seats)
            episode = env.episode()
            for agent, seat in seats.items():
                if isinstance(seat, _Seat):
                    _pay(seat, agent, episode)

    def _opponent_agents(self, agents: Sequence[str]) -> set[str]:
        seats = self.config.opponent_seats
        if unknown := [seat for seat in seats if not 0 <= seat < len(agents)]:
            raise ConfigError(
                f"opponent_seats names {unknown}: the game has seats 0 to {len(agents) - 1}"
            )
        return {agents[seat] for seat in seats}


class _Seat:
    """One seat's interaction, until a limit of its run ends it."""

    def __init__(self, interaction: Any) -> None:
        self.trace = interaction.trace
        self.cut_off = False
        self._interaction = interaction

    async def ask(self, message: str) -> str:
        """The reply; nothing once a limit has ended the run.

        Raises:
            PolicyError: the run failed.
        """
        if self.cut_off:
            return ""
        segment = await self._interaction.turn(message)
        if segment.terminated and self.trace.errors:
            # A failed endpoint is no silent seat: the episode fails, and may be tried again.
            error = self.trace.errors[-1]
            raise PolicyError(f"the model gave no reply: {error.type}: {error.message}")
        self.cut_off = segment.terminated
        return "" if self.cut_off else str(segment.last_reply)


async def _play(env: ConversationEnv, seats: dict[str, _Seat | Policy]) -> None:
    while not env.over:
        acting = env.acting
        # Nobody's reply depends on another's: all of them are asked before one is played.
        replies = await asyncio.gather(*(_reply(env, agent, seats[agent]) for agent in acting))
        for reply in replies:
            env.step(reply)


async def _reply(env: ConversationEnv, agent: str, seat: _Seat | Policy) -> str:
    view = env.view(agent)
    if isinstance(seat, _Seat):
        return await seat.ask(view.messages[-1]["content"])
    return (await asyncio.to_thread(seat.act, [view]))[0]


def _pay(seat: _Seat, agent: str, episode: Episode) -> None:
    trace = seat.trace
    for component, value in episode.rewards[agent].items():
        if value is not None:
            trace.record_reward(component, value)
    turns = episode.turns_of(agent)
    trace.record_metric("acts", float(len(turns)))
    trace.record_metric("invalid_actions", float(sum(not turn.valid for turn in turns)))
    trace.record_metric("cut_off", float(seat.cut_off))
    sat = next(sat for sat in episode.seats if sat.agent == agent)
    trace.info["omar"] = {
        "env": episode.env,
        "seed": episode.seed,
        "seat": agent,
        "name": sat.name,
        "role": sat.role,
        "outcome": episode.outcome,
    }
