"""Settings that a run may change on purpose when it goes on (``resume_with``)."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping

from omar_envs.errors import ConfigError

ALARM = "alarm"
"""In ``resume_with``: go on although an alarm has stopped the run."""

_ROWS = "a checkpoint counts in iterations of so many rows and steps"
_CRITIC = "a checkpoint holds weights and optimizer of the critic that was"
_OPTIMIZER = "a checkpoint holds the state of the optimizer that was"
_WEIGHTS = "a checkpoint's weights are as they were loaded"

FIXED_SETTINGS: Mapping[str, str] = {
    **dict.fromkeys(
        ("seats", "games_per_iteration", "episodes_per_scenario", "minibatches", "num_iterations"),
        _ROWS,
    ),
    **dict.fromkeys(
        ("advantage", "critic", "critic_overrides", "critic_lora_r", "critic_normalize_returns"),
        _CRITIC,
    ),
    **dict.fromkeys(("optim", "optim_args", "optim_target_modules"), _OPTIMIZER),
    "model_init_kwargs": _WEIGHTS,
}
"""Settings that ``resume_with`` cannot name, and why."""


def check_names(names: Collection[str] | None, known: Iterable[str]) -> None:
    """Look at ``resume_with`` before anything is loaded.

    Raises:
        ConfigError: it is no list, or names what is no setting or cannot be changed.
    """
    if names is None:
        return
    if isinstance(names, str):
        raise ConfigError(f"resume_with must be a list of settings: write [{names}]")
    settings = {*known}
    for name in names:
        if name not in settings:
            close = difflib.get_close_matches(str(name), settings, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise ConfigError(f"resume_with names {name!r}, which is no setting{hint}")
        if name in FIXED_SETTINGS:
            raise ConfigError(
                f"resume_with cannot change {name}: {FIXED_SETTINGS[name]}. Begin a new run in "
                "another output_dir, from the checkpoint's model (model_name_or_path)"
            )


def how_to_change(*names: str) -> str:
    """The end of a piece of advice: how a run that goes on takes other settings."""
    return (
        f"to go on with another {names[0]}, give it, and --resume_with {names[0]} (any of these "
        "settings is named so)"
    )
