"""What ``benchmarks.estimators`` compares, in which games, and how much it spends."""

from __future__ import annotations

from dataclasses import dataclass

from omar_trainers.house.build import BuildSettings

Options = dict[str, int | float]
"""Settings of the trainer that differ from the recipe's."""

TRIALS: dict[str, tuple[Options, ...]] = {
    "hierarchical": ({"lam_turn": 0.9}, {"lam_turn": 1.0}),
    "token_gae": ({"lam_token": 1.0}, {"lam_token": 0.98}),
    "turn_gae": ({"lam_turn": 0.9}, {"lam_turn": 1.0}),
    "rae": ({"rae_decay": 0.95}, {"rae_decay": 0.99}),
    "group": ({"episodes_per_scenario": 1}, {"episodes_per_scenario": 8}),
}
"""What is tried for each estimator: its own knob at two values. All else is the
recipe's."""

METHODS = tuple(TRIALS)


@dataclass(frozen=True)
class Setting:
    """A game, what is started from, and how much is spent on it.

    Attributes:
        name: of its folder.
        about: one line for the reader of the tables.
        recipe: of the trainer.
        options: settings of all runs that differ from the recipe's.
        iterations: of a reported run.
        tuning_iterations: of a trial.
        tuning_points: snapshots of a trial, the final model being the last.
        tuning_games: arena games of each of them against the start.
        curve_points: snapshots of a reported run, the final model being the last.
        curve_games: arena games of a snapshot against the start.
        final_games: arena games of the final model against the start.
        versus_games: arena games of two estimators' final models of one seed.
        start: how the start is built from the package's house model, by further
            scripted games; ``None`` takes that model as it is.
        lessons: rounds of talk of further games that a start is built from, as many
            games of each: short ones show more votes in as many tokens.
        max_context: longest row of a start that is built (tokens).
    """

    name: str
    about: str
    recipe: str
    options: Options
    iterations: int
    tuning_iterations: int
    tuning_points: int = 2
    tuning_games: int = 120
    curve_points: int = 3
    curve_games: int = 100
    final_games: int = 300
    versus_games: int = 80
    start: BuildSettings | None = None
    lessons: tuple[int, ...] = ()
    max_context: int = 512


LONG = Setting(
    "long",
    "three players, 19 rounds of talk, then one vote that decides",
    "werewolf_house_long",
    {},
    iterations=12,
    tuning_iterations=8,
    start=BuildSettings(games=800, noise=0.15, epochs=1.0, lr=1e-3, batch_size=8),
    lessons=(1, 3, 8),
    max_context=1024,
)
SHORT = Setting(
    "short",
    "the demo's game: five players, one round of talk and one vote a day",
    "werewolf_house_demo",
    {"games_per_iteration": 128, "per_device_train_batch_size": 64},
    iterations=12,
    tuning_iterations=8,
)
SETTINGS = {setting.name: setting for setting in (LONG, SHORT)}
