"""One seat of a conversation as a Gymnasium environment; policies play the others.

::

    import gymnasium, omar_envs
    env = gymnasium.make("omar/werewolf-seat-v0", seat=0, opponents="scripted", num_players=5)
    observation, info = env.reset(seed=1)

=================  ============================================================
Ids                ``omar/werewolf-seat-v0``, ``omar/sotopia-seat-v0``
Observation        ``{"text": str}``, all that the seat may know
Action             text, any ``str``; ``info["request"]`` says what is asked
Reward             what the seat was paid from its last act until its next one
End                that of the game, not that of the seat: who dies early waits
Discrete           ``discrete=True``: spaces of :mod:`omar_envs.wrappers.discretize`
=================  ============================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any, NoReturn

import gymnasium
import msgspec
import numpy as np
from gymnasium.error import CustomSpaceError
from gymnasium.spaces import Dict as DictSpace
from gymnasium.spaces import Space
from gymnasium.vector.utils import create_shared_memory
from numpy.typing import NDArray

from omar_envs import sotopia_v0, werewolf_v0
from omar_envs.by_name import Game
from omar_envs.conversation import ConversationEnv
from omar_envs.errors import ConfigError, StateError
from omar_envs.playing import AnyEnv, ask_all, conversation
from omar_envs.policy import Policy
from omar_envs.spaces import TextSpace
from omar_envs.types import Episode, View
from omar_envs.wrappers.discretize import Discretizer
from omar_envs.wrappers.opponents import Opponents, seating

__all__ = ["DiscreteSeatEnv", "Opponents", "SingleAgentEnv", "sotopia_seat", "werewolf_seat"]

RANDOM_SEAT = "random"

_games = count()


class SingleAgentEnv(gymnasium.Env[Any, Any]):
    """One seat of a game, with opponents in all others.

    ``reset`` and ``step`` play the others on until the seat is asked, or the game is over.
    A seat that is eliminated is paid at the game's end, which the ``step`` of its last act
    returns. Where the game ends before the seat was ever asked, ``reset`` returns an ``info``
    whose ``request`` is ``None``; the next ``step``, whatever its action, ends the episode.

    Infos are those of the conversation for the seat (``request``, ``messages``,
    ``new_messages``, ``alive``, ``role``, ``reward_components``, ``invalid_actions``), and
    ``seat``, its agent id; after the last step also ``omar_episode``, the whole
    :class:`~omar_envs.types.Episode`, which an environment that resets itself would forget.

    ``reset(seed=s)`` starts the same game as the conversation's ``reset(seed=s)``. Drawn from
    the same generator are a random seat and the seeds of opponents made per game, so that
    equal seeds and acts give equal episodes, whatever was played before.

    Args:
        env: a conversation, wrapped or not, AEC or parallel.
        seat: index of the seat, its agent id, or ``"random"``, drawn for each game.
        opponents: play all other seats. A name as the command line takes it (``random``,
            ``scripted``, ``house``, a model's folder, ``URL#model``); a policy, which keeps
            its own generator from game to game; or a callable that makes one for each game,
            given a seed if it has an argument ``seed`` or one without a default. ``random``
            and ``scripted`` are made anew for each game, models are loaded once and sample
            on. Different ones: a mapping of agent ids to those, in which ``scripted`` plays
            who is left out, or a list with one for each other seat, in order.

    Raises:
        ConfigError: ``env`` is no conversation, there is no such seat, or the opponents are
            unknown, cannot be loaded, or do not fit the seats.
    """

    metadata: dict[str, Any] = {"render_modes": ["human", "ansi"], "render_fps": 4}

    def __init__(self, env: AnyEnv, seat: int | str = 0, opponents: Opponents = "scripted") -> None:
        self._conversation = conversation(env)
        self._fixed_seat = _checked_seat(seat, self._conversation.possible_agents)
        game = Game(str(self._conversation.metadata["name"]), self._conversation.config)
        self._seating = seating(opponents, game, self._conversation.possible_agents)
        self._players: dict[str, Policy] = {}
        self._seat = self._fixed_seat or ""
        # A policy that several environments share keeps their rows apart by this.
        self._game = next(_games)
        self._done = True
        self.render_mode = self._conversation.render_mode
        self.observation_space: Space[Any] = DictSpace({"text": TextSpace()})
        self.action_space: Space[Any] = TextSpace()

    # --- Gymnasium --------------------------------------------------------

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start a new game and play it up to the seat's first act.

        Args:
            seed: non-negative; without one the running generator draws the game's.
            options: ignored; present for Gymnasium.
        """
        super().reset(seed=seed)
        drawn = int(self.np_random.integers(2**31))
        self._conversation.reset(seed=drawn if seed is None else seed)
        agents = self._conversation.possible_agents
        random_seat = agents[int(self.np_random.integers(len(agents)))]
        self._seat = self._fixed_seat or random_seat
        self._players = self._seating(int(self.np_random.integers(2**31)), self._seat)
        self._done = False
        self._play_on()
        return self._observation(), self._info()

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Act for the seat and play the game up to its next act, or to its end.

        Raises:
            StateError: before ``reset``, or after the end.
        """
        if self._done:
            raise StateError("no game is running: call reset() before step()")
        if not self._conversation.over:
            self._play_stage(self._reply(action))
            self._play_on()
        over = self._done = self._conversation.over
        observation, info = self._observation(), self._info()
        if over:
            info["omar_episode"] = self.episode()
        paid = info["reward_components"].values()
        truncated = over and self._conversation.truncations[self._seat]
        return (
            observation,
            float(sum(part for part in paid if part is not None)),
            over and not truncated,
            truncated,
            info,
        )

    def render(self) -> Any:
        """As :meth:`ConversationEnv.render`: the all-knowing log."""
        return self._conversation.render()

    def close(self) -> None:
        """Nothing to release."""

    # --- beyond Gymnasium -------------------------------------------------

    @property
    def seat(self) -> str:
        """Agent id of the seat in the running game; "" before one is drawn."""
        return self._seat

    @property
    def conversation(self) -> ConversationEnv:
        """The game behind this environment."""
        return self._conversation

    def view(self) -> View:
        """All that the seat may know now, with chat messages that only grow at the end.

        Raises:
            StateError: before ``reset``.
        """
        if not self._players:
            raise StateError("no game is running: call reset() first")
        return self._view_of(self._seat)

    def episode(self) -> Episode:
        """The finished game, with who played the other seats.

        Raises:
            StateError: the game is still running, or none was started.
        """
        episode = self._conversation.episode()
        names = {self._seat: ""} | {agent: each.name for agent, each in self._players.items()}
        return msgspec.structs.replace(
            episode,
            seats=tuple(
                msgspec.structs.replace(each, policy=names[each.agent]) for each in episode.seats
            ),
        )

    # --- how the seat sees and acts ---------------------------------------

    def _observation(self) -> Any:
        return self._conversation.observe(self._seat)

    def _reply(self, action: Any) -> Any:
        return action

    # --- the course of the game -------------------------------------------

    def _info(self) -> dict[str, Any]:
        info = self._conversation.infos[self._seat]
        # The game may not have moved since the last info, and its parts must not be shared.
        return {**info, "reward_components": {**info["reward_components"]}, "seat": self._seat}

    def _view_of(self, agent: str) -> View:
        return msgspec.structs.replace(self._conversation.view(agent), game=self._game)

    def _play_on(self) -> None:
        env = self._conversation
        while not env.over and self._seat not in env.acting:
            self._play_stage(None)

    def _play_stage(self, own_reply: Any) -> None:
        """Acts of all who may act now, the seat's among them if it is one of them."""
        env = self._conversation
        acting = env.acting
        others = [agent for agent in acting if agent != self._seat]
        views = [self._view_of(agent) for agent in others]
        asked = ask_all(views, [self._players[agent] for agent in others])
        replies = dict(zip(others, asked, strict=True))
        for agent in acting:
            env.step(own_reply if agent == self._seat else replies[agent])


class DiscreteSeatEnv(SingleAgentEnv):
    """A seat with discrete spaces; otherwise as :class:`SingleAgentEnv`.

    Args:
        env, seat, opponents: as there.
        options: those of :class:`~omar_envs.wrappers.discretize.Discretizer`.
    """

    def __init__(
        self,
        env: AnyEnv,
        seat: int | str = 0,
        opponents: Opponents = "scripted",
        **options: Any,
    ) -> None:
        super().__init__(env, seat, opponents)
        self.discretizer = Discretizer(self._conversation, **options)
        self.observation_space = self.discretizer.observation_space
        self.action_space = self.discretizer.action_space

    def action_masks(self) -> NDArray[np.bool_]:
        """(N,) whether each act is legal now; what MaskablePPO of sb3-contrib asks for."""
        return self.discretizer.mask(self.view()).astype(np.bool_)

    def _observation(self) -> Any:
        return self.discretizer.observation(self.view())

    def _info(self) -> dict[str, Any]:
        return self.discretizer.masked(self.view(), super()._info())

    def _reply(self, action: Any) -> Any:
        return self.discretizer.reply(self.view(), action)


def werewolf_seat(
    seat: int | str = 0,
    opponents: Opponents = "scripted",
    *,
    discrete: bool | Mapping[str, Any] = False,
    render_mode: str | None = None,
    **settings: Any,
) -> SingleAgentEnv:
    """What ``gymnasium.make("omar/werewolf-seat-v0", …)`` calls.

    Args:
        seat, opponents: as for :class:`SingleAgentEnv`.
        discrete: whether the spaces are discrete, or the options of that
            (:class:`~omar_envs.wrappers.discretize.Discretizer`): ``{"length": 256}``.
        render_mode: ``"human"``, ``"ansi"`` or ``None``.
        settings: arguments of ``werewolf_v0``.
    """
    _check_render_mode(render_mode)
    game = werewolf_v0.raw_env(render_mode=render_mode, **settings)
    return _seat(game, seat, opponents, discrete)


def sotopia_seat(
    seat: int | str = 0,
    opponents: Opponents = "scripted",
    *,
    discrete: bool | Mapping[str, Any] = False,
    render_mode: str | None = None,
    **settings: Any,
) -> SingleAgentEnv:
    """What ``gymnasium.make("omar/sotopia-seat-v0", …)`` calls.

    Args:
        seat, opponents, discrete, render_mode: as for :func:`werewolf_seat`.
        settings: arguments of ``sotopia_v0``.
    """
    _check_render_mode(render_mode)
    game = sotopia_v0.raw_env(render_mode=render_mode, **settings)
    return _seat(game, seat, opponents, discrete)


def _seat(
    game: ConversationEnv,
    seat: int | str,
    opponents: Opponents,
    discrete: bool | Mapping[str, Any],
) -> SingleAgentEnv:
    if discrete is False:
        return SingleAgentEnv(game, seat, opponents)
    if discrete is not True and not isinstance(discrete, Mapping):
        raise ConfigError(
            "discrete must be True, False or the options of Discretizer, as {'length': 256}: "
            f"got {discrete!r}"
        )
    return DiscreteSeatEnv(game, seat, opponents, **({} if discrete is True else discrete))


class _RenderModeError(ConfigError, TypeError):
    """Stable-Baselines3 asks for ``rgb_array``, and for none if that is a ``TypeError``."""


def _check_render_mode(render_mode: str | None) -> None:
    modes = SingleAgentEnv.metadata["render_modes"]
    if render_mode is not None and render_mode not in modes:
        raise _RenderModeError(
            f"render_mode must be None or one of {', '.join(modes)}: got {render_mode!r}"
        )


@create_shared_memory.register(TextSpace)
def _no_shared_text(space: TextSpace, n: int = 1, ctx: Any = None) -> NoReturn:
    # AsyncVectorEnv makes of it the advice to pass shared_memory=False.
    raise CustomSpaceError("a TextSpace has no longest text, and shared memory a fixed size")


def _checked_seat(seat: int | str, agents: list[str]) -> str | None:
    """The seat's agent id; ``None`` if it is drawn for each game."""
    if isinstance(seat, str):
        if seat == RANDOM_SEAT:
            return None
        if seat in agents:
            return seat
    elif (
        isinstance(seat, int | np.integer)
        and not isinstance(seat, bool)
        and 0 <= seat < len(agents)
    ):
        return agents[int(seat)]
    raise ConfigError(
        f"seat must be 'random', an index from 0 to {len(agents) - 1}, or one of "
        f"{', '.join(agents)}: got {seat!r}"
    )
