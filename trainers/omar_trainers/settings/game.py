"""Which games are played, and how many between two updates."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omar_envs.errors import ConfigError
from omar_trainers.settings.checks import require_int


@dataclass
class GameSettings:
    """Which games are played, and how many between two updates.

    Args:
        env_name: module of ``omar_envs`` that makes the game, as ``werewolf_v0``.
        env_kwargs: arguments of its ``env()``. A dict, or JSON on a command line; for
            ``judge`` see ``omar_trainers.judges``.
        scenarios: path of a JSON-lines file, one object of further environment
            arguments per line, played in turn; without it every game has only
            ``env_kwargs``. A scenario may have fewer seats than ``seats``.
        seats: rows per game, the largest number of players of any scenario.
        episodes_per_scenario: games in a row on one scenario (other seeds).
        games_per_iteration: games between two updates, over all processes.
        total_iterations: iterations of the whole run.
        save_iterations: write a checkpoint every so many iterations, as long as
            ``save_strategy`` is ``steps``.
        minibatches: optimizer steps in one pass over an iteration's rows.
    """

    env_name: str = field(
        default="werewolf_v0", metadata={"help": "Module of omar_envs that makes the game."}
    )
    env_kwargs: dict[str, Any] | str | None = field(
        default=None, metadata={"help": "Arguments of the environment, as JSON."}
    )
    scenarios: str | None = field(
        default=None,
        metadata={"help": "JSON-lines file of further environment arguments, played in turn."},
    )
    seats: int = field(default=7, metadata={"help": "Rows per game: most players of any scenario."})
    episodes_per_scenario: int = field(
        default=1, metadata={"help": "Games in a row on one scenario, with other seeds."}
    )
    games_per_iteration: int = field(
        default=32, metadata={"help": "Games between two updates, over all processes."}
    )
    total_iterations: int = field(default=100, metadata={"help": "Iterations of the whole run."})
    save_iterations: int = field(
        default=50, metadata={"help": "Write a checkpoint every so many iterations."}
    )
    minibatches: int = field(
        default=2, metadata={"help": "Optimizer steps in one pass over an iteration's rows."}
    )

    def load_scenarios(self) -> list[dict[str, Any]]:
        """The scenarios, each a dict of further environment arguments.

        Raises:
            ConfigError: the file is missing, empty, or a line is no JSON object.
        """
        if self.scenarios is None:
            return [{}]
        path = Path(self.scenarios)
        if not path.is_file():
            raise ConfigError(f"scenarios: there is no file {path}")
        scenarios = []
        for line_number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            if not line.strip():
                continue
            try:
                scenario = json.loads(line)
            except json.JSONDecodeError as error:
                raise ConfigError(f"scenarios: {path}:{line_number} is not JSON: {error}") from None
            if not isinstance(scenario, dict):
                raise ConfigError(f"scenarios: {path}:{line_number} is not a JSON object")
            scenarios.append(scenario)
        if not scenarios:
            raise ConfigError(f"scenarios: {path} holds no scenario")
        return scenarios

    def _check_games(self) -> None:
        for name in (
            "seats",
            "episodes_per_scenario",
            "games_per_iteration",
            "total_iterations",
            "save_iterations",
            "minibatches",
        ):
            require_int(name, getattr(self, name), least=1)
