"""One seat of a game for TRL's ``GRPOTrainer``: the model plays by calling a tool.

::

    from omar_envs.integrations.trl import environment_factory, games
    trainer = GRPOTrainer(
        model=model,
        args=GRPOConfig(num_generations=8, …),
        train_dataset=games(1000),
        environment_factory=environment_factory("werewolf", opponents="scripted"),
    )

The model reads the rules, its role and the first question in its prompt, and answers every
question by calling ``act``; what the tool returns is what the seat is told until it is asked
again. The reward is the seat's whole payment, by ``get_reward``. Who stops calling the tool
before the game is over plays on in silence: its further acts are unreadable ones, as
everywhere, which ``invalid_penalty`` may price.

All completions of one prompt play the same game, where ``train_dataset`` has a column
``seed`` (:func:`games` makes one); without it every game is another one, and GRPO's group
compares games as much as replies. A column ``seat`` chooses the seat by index or agent id.

This trains one seat at a time. For one model in all seats of a game, with a row per seat, see
``omar_trainers.OMARTrainer``. The model's chat template must support tool calls.

Supported: ``trl>=1.16,<2``; ``pip install 'omar-envs[train]'``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from omar_envs.by_name import Game, environment_name
from omar_envs.errors import ConfigError, StateError
from omar_envs.integrations.libraries import check, library
from omar_envs.types import View
from omar_envs.wrappers.opponents import Opponents, loaded
from omar_envs.wrappers.single_agent import SingleAgentEnv

__all__ = ["SeatTools", "environment_factory", "games"]

HOW_TO_ACT = "Answer every question by calling the tool `act` with your reply as its text."
GAME_OVER = "The game is over."


class SeatTools:
    """One seat as TRL wants it: its one public method beside its own is a tool.

    Args:
        make_env: makes the seat's environment, given the seat.
        seat: index, agent id or ``"random"``, where a row of the dataset says nothing.
    """

    def __init__(
        self, make_env: Callable[[int | str], SingleAgentEnv], seat: int | str = 0
    ) -> None:
        self._make_env = make_env
        self._seat = seat
        self._made: dict[int | str, SingleAgentEnv] = {}
        self._env = self._env_of(seat)
        self._started = False
        self._running = False
        self._paid = 0.0

    def reset(self, seed: int | None = None, seat: int | str | None = None, **row: Any) -> str:
        """Start a game; called by the trainer with the row's columns.

        Args:
            seed: of the game; drawn without one.
            seat: who is played, for this row.
            row: other columns, for whom they are meant.

        Returns:
            What the prompt goes on with: rules, role and the first question.
        """
        self._env = self._env_of(self._seat if seat is None else seat)
        self._env.reset(seed=seed)
        self._started, self._running, self._paid = True, True, 0.0
        view = self._env.view()
        told = "\n\n".join(message["content"] for message in view.messages)
        return f"{told}\n\n{HOW_TO_ACT if view.request is not None else GAME_OVER}"

    def act(self, text: str) -> str:
        """
        Act in the game: say something, or choose one of the options that you were given.

        Args:
            text: What you say to the others, or the option that you choose, and nothing else.

        Returns:
            What happens until you are asked again, and the next question.
        """
        if not self._running:
            raise StateError("the game is over: there is nothing more to do")
        self._step(text)
        view = self._env.view()
        told = _news(view)
        return told if self._running else f"{told}\n{GAME_OVER}".strip()

    def get_reward(self) -> float:
        """What the seat was paid in all; the game is first played to its end.

        Raises:
            StateError: no game was started.
        """
        if not self._started:
            raise StateError("no game was started: call reset() first")
        while self._running:
            self._step("")
        return self._paid

    def _env_of(self, seat: int | str) -> SingleAgentEnv:
        if seat not in self._made:
            self._made[seat] = self._make_env(seat)
        return self._made[seat]

    def _step(self, text: str) -> None:
        _, reward, terminated, truncated, _ = self._env.step(text)
        self._paid += reward
        self._running = not (terminated or truncated)


def environment_factory(
    env: str = "werewolf",
    *,
    seat: int | str = 0,
    opponents: Opponents = "scripted",
    **settings: Any,
) -> Callable[[], SeatTools]:
    """What ``GRPOTrainer(environment_factory=…)`` takes.

    Args:
        env: ``"werewolf"`` or ``"sotopia"``.
        seat, opponents: as for :class:`~omar_envs.wrappers.single_agent.SingleAgentEnv`. A model
            is loaded once, for all games.
        settings: arguments of ``werewolf_v0`` or ``sotopia_v0``.

    Raises:
        ConfigError: TRL is missing or unsupported, or an argument is impossible.
    """
    check("trl")
    game = Game(environment_name(env), settings)
    game.make()
    players = loaded(opponents, game)

    def make_env(seat: int | str) -> SingleAgentEnv:
        return SingleAgentEnv(game.make(), seat, players)

    SeatTools(make_env, seat)  # an impossible seat shows now, not in the first batch
    return lambda: SeatTools(make_env, seat)


def games(count: int, seed: int = 0, *, seats: int | None = None) -> Any:
    """A ``datasets.Dataset`` with a game per row, its prompt left to the environment.

    Args:
        count: number of rows, at least 1.
        seed: of the first game; row i has ``seed + i``.
        seats: with a number, rows also go round that many seats in turn.

    Raises:
        ConfigError: a number is too small, or ``datasets`` is missing.
    """
    if count < 1 or (seats is not None and seats < 1):
        raise ConfigError(f"need count >= 1 and seats >= 1: got {count} and {seats}")
    rows: dict[str, list[Any]] = {
        "prompt": [[{"role": "user", "content": ""}] for _ in range(count)],
        "seed": [seed + number for number in range(count)],
    }
    if seats is not None:
        rows["seat"] = [number % seats for number in range(count)]
    return library("datasets").Dataset.from_dict(rows)


def _news(view: View) -> str:
    """What the seat was told since its last act, with the question if there is one."""
    last = view.messages[-1]
    return last["content"] if last["role"] == "user" else ""
