"""``omar-envs sft``: words handed on to the trainer's cold start, which knows all settings."""

from __future__ import annotations

from typing import Annotated

import typer

from omar_envs.cli_help import About
from omar_envs.cli_options import complete_model, given

ABOUT = About(
    "Let a model learn from the best of recorded games, before it plays itself.",
    "omar-envs sft --model house --episodes games.jsonl --best_of 4 \\\n"
    "    --output_dir runs/start",
    """\
Other settings, each as --key value; often wanted:
  --episodes FILE ...       recorded by omar-envs rollout, play, or any policy
  --best_of N               of N seats that can be compared the best is learned
  --min_return X            and only if it was paid as much
  --balance role|team|none  keep as many of each (default: role)
  --turn_filter rules|none  leave out speech that repeats or copies
All of them: pydoc omar_trainers.cold_start_config.

A run that was stopped, however, goes on with the same command.
Needs pip install 'omar-envs[train]'.
""",
)


def command(
    context: typer.Context,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "--model_name_or_path",
            metavar="MODEL",
            autocompletion=complete_model,
            help="what learns: a folder, a name on the hub, or house",
        ),
    ] = None,
    output_dir: Annotated[
        str | None,
        typer.Option(
            "--output_dir",
            metavar="DIR",
            help="where checkpoints, cold_start.json and final/ go",
        ),
    ] = None,
) -> None:
    """Hand all words on to the cold start."""
    from omar_envs.by_name import training_libraries

    known = {"--model_name_or_path": model, "--output_dir": output_dir}
    with training_libraries():
        from omar_trainers import cold_start

    cold_start.run(*cold_start.parse([*given(known), *context.args]))
