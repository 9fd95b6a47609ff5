"""``omar-envs model``: the house model as a folder, and what stands in a model's folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from omar_envs.cli_help import About
from omar_envs.cli_options import Json, complete_model
from omar_envs.terminal import show, show_json

if TYPE_CHECKING:
    from omar_envs.model_folder import ModelInfo

GROUP = About(
    "Models in folders: write the house model, tell what is in one.",
    "omar-envs model info house",
)
HOUSE = About(
    "Write the tiny model that this project trains from scripted play into a folder.",
    "omar-envs model house --out runs/house",
    """\
What is written can be played, compared and trained like any model in a folder:
  omar-envs play --opponents runs/house
""",
)
INFO = About(
    "Tell of a model: its size, the game it was trained on, how it acts.",
    "omar-envs model info runs/demo/final",
    """\
Nothing is loaded: sizes are read from the heads of the files. The game stands
in game.json beside the weights, and how the model acts in acting.json; either
may be missing.
""",
)


def house(
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="DIR", help="a folder that is not there, or is empty"),
    ],
) -> None:
    """Write the house model."""
    from omar_envs.model_folder import copy_model

    copy_model("house", out)
    show(f"the house model in {out}: omar-envs model info {out}")


def info(
    model: Annotated[
        str,
        typer.Argument(metavar="MODEL", help="a folder, or house", autocompletion=complete_model),
    ],
    json: Json = False,
) -> None:
    """Tell of a model."""
    from omar_envs.model_folder import read_model_info

    found = read_model_info(model)
    if json:
        show_json(found.to_builtins())
    else:
        show("\n".join(_lines(found)))


def _lines(info: ModelInfo) -> Iterator[str]:
    yield f"folder       {info.folder}"
    yield f"kind         {info.kind or 'not said'}"
    if info.parameters is None:
        yield "parameters   not known: it has no file of safetensors"
    else:
        yield (
            f"parameters   {info.parameters:,} ({', '.join(info.dtypes)}, "
            f"{info.weight_bytes:,} bytes)"
        )
    yield f"context      {_count(info.context)}"
    yield f"vocabulary   {_count(info.vocabulary)}"
    if info.game is None:
        yield "trained on   not said: it has no game.json"
    else:
        yield f"trained on   {info.game.env}"
        yield from (f"  {name} = {value!r}" for name, value in info.game.settings.items())
    usual = "" if info.acting_is_given else ", as usual: it has no acting.json"
    yield f"acts{usual}"
    yield from (f"  {name} = {value!r}" for name, value in info.acting_settings().items())


def _count(tokens: int | None) -> str:
    return "not said" if tokens is None else f"{tokens:,} tokens"
