"""The classes of :mod:`omar_envs.integrations.openenv`, which says what they do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from omar_envs.by_name import environment_name
from omar_envs.errors import ConfigError, StateError
from omar_envs.integrations.libraries import library
from omar_envs.integrations.openenv_guard import Guard
from omar_envs.rollout import make
from omar_envs.wrappers.opponents import Opponents
from omar_envs.wrappers.single_agent import SingleAgentEnv

if TYPE_CHECKING:
    import pydantic
    from openenv import core
    from openenv.core import client_types
else:
    core = library("openenv", "core")
    client_types = library("openenv", "core.client_types")
    import pydantic

MAX_REPLY_CHARS = 100_000
"""Longest reply that is taken at all; the game cuts speech much earlier."""

MAX_MESSAGE_CHARS = 8 * MAX_REPLY_CHARS
"""Longest WebSocket message: a reply of which every character is escaped, and its frame."""

_ID_CHARS = 255
_SEEDS = 2**63


class SeatAction(core.Action):
    """The seat's reply: speech, or the label of a choice."""

    text: str = pydantic.Field(max_length=MAX_REPLY_CHARS)


class SeatObservation(core.Observation):
    """All that the seat may know now; ``done`` and ``reward`` are OpenEnv's.

    ``text`` is the observation as one text, ``messages`` as a chat that only grows at the
    end. ``choices`` are the labels to choose from, none where speech is asked for;
    ``request`` is ``SPEAK``, ``CHOOSE``, or "" once nothing is asked.
    """

    seat: str
    name: str
    role: str | None
    alive: bool
    text: str
    messages: list[dict[str, str]]
    request: str
    instruction: str
    choices: list[str]
    max_chars: int
    invalid_actions: int
    reward_components: dict[str, float | None]


class SeatState(core.State):
    """The running game: ``episode_id`` and ``step_count`` are OpenEnv's."""

    env: str
    seat: str
    done: bool


class SeatEnvironment(core.Environment):
    """One session's game.

    Args:
        env: the seat, with its opponents.
    """

    SUPPORTS_CONCURRENT_SESSIONS = True

    def __init__(self, env: SingleAgentEnv) -> None:
        super().__init__()
        self._env = env
        self._episode_id: str | None = None
        self._steps = 0
        self._running = False

    def reset(
        self, seed: int | None = None, episode_id: str | None = None, **unknown: Any
    ) -> SeatObservation:
        """Start a game.

        Args:
            seed: from 0; the same seed and replies give the same game.
            episode_id: the client's own name for it, shown in ``state``.
            unknown: refused.

        Raises:
            ConfigError: an argument is unknown, or of the wrong type or size.
        """
        if unknown:
            names = ", ".join(sorted(name[:40] for name in unknown))
            raise ConfigError(f"reset takes seed and episode_id, not {names[:200]}")
        if seed is not None and (
            isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < _SEEDS
        ):
            raise ConfigError("seed must be an integer from 0 to 2**63 - 1")
        if episode_id is not None and (
            not isinstance(episode_id, str) or len(episode_id) > _ID_CHARS
        ):
            raise ConfigError(f"episode_id must be a text of at most {_ID_CHARS} characters")
        self._episode_id, self._steps, self._running = episode_id, 0, True
        _, info = self._env.reset(seed=seed)
        return self._observation(info, None, False)

    def step(
        self, action: SeatAction, timeout_s: float | None = None, **ignored: Any
    ) -> SeatObservation:
        """Act for the seat.

        Raises:
            StateError: before ``reset``, or after the end.
        """
        self._check_running()
        _, reward, terminated, truncated, info = self._env.step(action.text)
        self._steps += 1
        self._running = not (terminated or truncated)
        return self._observation(info, reward, not self._running)

    @property
    def state(self) -> SeatState:
        """How far the game is.

        Raises:
            StateError: before the first ``reset``.
        """
        if not self._env.seat or not (self._running or self._steps):
            raise StateError("no game is running: send reset first")
        return SeatState(
            episode_id=self._episode_id,
            step_count=self._steps,
            env=str(self._env.conversation.metadata["name"]),
            seat=self._env.seat,
            done=not self._running,
        )

    def _check_running(self) -> None:
        if not self._running:
            raise StateError("no game is running: send reset first")

    def _observation(
        self, info: dict[str, Any], reward: float | None, done: bool
    ) -> SeatObservation:
        view = self._env.view()
        request = view.request
        return SeatObservation(
            done=done,
            reward=reward,
            seat=view.agent,
            name=view.name,
            role=view.role,
            alive=view.alive,
            text=view.text,
            messages=[dict(message) for message in view.messages],
            request="" if request is None else request.kind.value,
            instruction="" if request is None else request.instruction,
            choices=[] if request is None else list(request.choices),
            max_chars=0 if request is None else request.max_chars,
            invalid_actions=info["invalid_actions"],
            reward_components=info["reward_components"],
        )


class SeatClient(core.EnvClient):
    """Client of a server that :func:`create_app` made; see ``openenv.core.EnvClient``."""

    def _step_payload(self, action: SeatAction) -> dict[str, Any]:
        return {"text": action.text}

    def _parse_result(self, payload: dict[str, Any]) -> Any:
        reward, done = payload.get("reward"), bool(payload.get("done", False))
        observation = SeatObservation.model_validate(
            {**payload["observation"], "reward": reward, "done": done}
        )
        return client_types.StepResult(observation=observation, reward=reward, done=done)

    def _parse_state(self, payload: dict[str, Any]) -> SeatState:
        state: SeatState = SeatState.model_validate(payload)
        return state


def create_app(
    env: str = "werewolf",
    *,
    seat: int | str = 0,
    opponents: Opponents = "scripted",
    max_sessions: int = 64,
    **settings: Any,
) -> Any:
    """The server, an ASGI application for uvicorn and the like.

    Args:
        env: ``"werewolf"`` or ``"sotopia"``.
        seat, opponents: as for :class:`~omar_envs.wrappers.single_agent.SingleAgentEnv`. Sessions
            run in threads of their own: a policy given as an object is shared by them.
        max_sessions: games at the same time; whoever comes beyond them is refused.
        settings: arguments of ``werewolf_v0`` or ``sotopia_v0``.

    Raises:
        ConfigError: a setting is impossible, or OpenEnv is missing or unsupported.
    """
    if max_sessions < 1:
        raise ConfigError(f"max_sessions must be at least 1: got {max_sessions}")
    name = environment_name(env)

    def session() -> SeatEnvironment:
        return SeatEnvironment(SingleAgentEnv(make(name, settings), seat, opponents))

    session()  # what is wrong with the settings shows now, not to the first client
    app = core.create_app(
        session,
        SeatAction,
        SeatObservation,
        env_name=name,
        max_concurrent_envs=max_sessions,
        state_cls=SeatState,
    )
    return Guard(app, MAX_MESSAGE_CHARS)
