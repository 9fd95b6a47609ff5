"""What is written beside a trained model's weights, so that others play with it as it was trained.

``game.json`` is the game, as :mod:`omar_envs.by_name` reads it, and ``acting.json`` how the
model replies (:class:`omar_envs.acting.Acting`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from omar_envs.acting import Acting
from omar_envs.by_name import GAME_FILE
from omar_trainers.config import OMARConfig


def acting_of(args: OMARConfig) -> Acting:
    """How the model replies by these settings."""
    return Acting(
        max_new_tokens_speak=args.max_new_tokens_speak,
        max_new_tokens_choose=args.max_new_tokens_choose,
        temperature=float(args.temperature),
        constrain_choices=args.constrain_choices,
        stop_strings=tuple(args.stop_strings or ()),
        chat_template_kwargs=dict(args.chat_template_kwargs or {}),
    )


def game_of(args: OMARConfig) -> dict[str, Any]:
    """The game of these settings, without its judge; of several scenarios none is named."""
    scenarios = args.load_scenarios()
    config = dict(args.env_kwargs or {}) | (scenarios[0] if len(scenarios) == 1 else {})
    if config.pop("judge", None) is not None:
        config.pop("judge_weight", None)
        if config.get("reward") == "judge":
            config["reward"] = "none"
    return {"env": args.env_name, "config": config}


def write_beside_weights(folder: Path, args: OMARConfig, *, of_package: bool) -> None:
    """Write both files.

    Args:
        folder: has the weights.
        args: settings of the run.
        of_package: whether the games are those of ``args.env_name``; others cannot be named.
    """
    acting_of(args).write(folder)
    if of_package:
        text = json.dumps(game_of(args), indent=2)
        (folder / GAME_FILE).write_text(text + "\n", encoding="utf-8")
