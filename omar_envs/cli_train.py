"""``omar-envs train``: words handed on to the trainer, which knows all settings."""

from __future__ import annotations

from typing import Annotated

import typer

from omar_envs.cli_help import About
from omar_envs.cli_options import complete_model, complete_recipe, given

ABOUT = About(
    "Train one model by self-play in every seat.",
    "omar-envs train --recipe werewolf_house_demo --output_dir runs/more \\\n"
    "    --model_name_or_path runs/demo/final",
    """\
Recipes that come along:
  werewolf_house_demo  werewolf_house_long     sotopia_house_deal
  werewolf_smollm2     werewolf_qwen3_4b       werewolf_qwen3_4b_node
  sotopia_qwen2_5_7b   sotopia_qwen2_5_7b_node

Any other setting can be given as --key value, and wins over the recipe:
  --total_iterations N      how long
  --games_per_iteration N   games between two updates
  --resume never            begin again, in another output_dir
All of them: docs/settings.md, or pydoc omar_trainers.config.

A run that was stopped, however, goes on with the same command. SIGTERM saves
a checkpoint at the end of the iteration. Needs pip install 'omar-envs[train]'.
On several GPUs:
  torchrun --nproc_per_node 8 -m omar_trainers.train --recipe NAME

exit codes: 0 done; 2 a setting is wrong; 3 an alarm or a guard ended the run,
and the model is saved; 130 after Ctrl-C; 143 after SIGTERM
""",
)


def command(
    context: typer.Context,
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe",
            metavar="NAME",
            autocompletion=complete_recipe,
            help="a file in YAML, or the name of one that comes along",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model_name_or_path",
            metavar="MODEL",
            autocompletion=complete_model,
            help="what to start from: a folder, a name on the hub, or house",
        ),
    ] = None,
    output_dir: Annotated[
        str | None,
        typer.Option(
            "--output_dir", metavar="DIR", help="where metrics, checkpoints and final/ go"
        ),
    ] = None,
) -> int:
    """Hand all words on to the trainer.

    Returns:
        the trainer's exit code.
    """
    from omar_envs.by_name import training_libraries

    known = {"--recipe": recipe, "--model_name_or_path": model, "--output_dir": output_dir}
    with training_libraries():
        from omar_trainers import train

    code: int = train.launch(*train.parse([*given(known), *context.args]))
    return code
