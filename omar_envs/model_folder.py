"""A model as a folder: copied, and looked into without loading it."""

from __future__ import annotations

import json
import math
import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from omar_envs.acting import ACTING_FILE, Acting
from omar_envs.by_name import Game, model_directory, trained_on
from omar_envs.errors import ConfigError

CONFIG_FILE = "config.json"


class ModelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A model in a folder.

    Attributes:
        folder: where it lies.
        kind: ``model_type`` of its configuration, "" where it names none.
        parameters: numbers in its safetensors files, tied weights once; ``None`` where it
            has no such files.
        dtypes: how they are kept, such as ``F32`` and ``BF16``, sorted.
        weight_bytes: size of those files.
        context: longest row that it reads (tokens); ``None`` where its configuration does
            not say.
        vocabulary: number of its tokens, likewise.
        game: what it was trained on; ``None`` where ``game.json`` is missing.
        acting: how it replies; the defaults where ``acting.json`` is missing.
        acting_is_given: whether that file is there.
    """

    folder: str
    kind: str
    parameters: int | None
    dtypes: tuple[str, ...]
    weight_bytes: int
    context: int | None
    vocabulary: int | None
    game: Game | None
    acting: Acting
    acting_is_given: bool

    def acting_settings(self) -> dict[str, Any]:
        """``acting`` as plain JSON."""
        settings: dict[str, Any] = msgspec.to_builtins(self.acting)
        return settings

    def to_builtins(self) -> dict[str, Any]:
        """As plain JSON; ``game`` is a mapping with ``env`` and ``settings``."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return {**plain, "game": None if self.game is None else self.game._asdict()}


def copy_model(model: str, out: Path) -> None:
    """Copy the folder of a model; it appears whole or not at all.

    Args:
        model: the folder's path, or ``house``.
        out: a folder that is not there, or is empty.

    Raises:
        ConfigError: there is no such model, or ``out`` cannot be written.
    """
    folder = model_directory(model)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out} exists: name a folder that is not there, or is empty")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=out.parent) as scratch:
            copied = shutil.copytree(folder, Path(scratch) / "model")
            os.replace(copied, out)
    except OSError as error:
        raise ConfigError(f"{out} cannot be written: {error}") from None


def read_model_info(model: str) -> ModelInfo:
    """Look into the folder of a model.

    Args:
        model: the folder's path, or ``house``.

    Raises:
        ConfigError: there is no such folder, no model in it, or one of its files cannot
            be read.
    """
    folder = model_directory(model)
    config = _read_config(folder / CONFIG_FILE)
    files = sorted(folder.glob("*.safetensors"))
    tensors = [tensor for file in files for tensor in _tensors(file)]
    return ModelInfo(
        folder=str(folder),
        kind=str(config.get("model_type", "")),
        parameters=sum(math.prod(shape) for _, shape in tensors) if files else None,
        dtypes=tuple(sorted({dtype for dtype, _ in tensors})),
        weight_bytes=sum(file.stat().st_size for file in files),
        context=_number(config, "max_position_embeddings"),
        vocabulary=_number(config, "vocab_size"),
        game=trained_on(folder),
        acting=Acting.read(folder),
        acting_is_given=(folder / ACTING_FILE).is_file(),
    )


def _read_config(file: Path) -> dict[str, Any]:
    try:
        config = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file} cannot be read: {error}") from None
    if not isinstance(config, dict):
        raise ConfigError(f"{file} is no configuration of a model: it must hold a JSON object")
    # Models that also see pictures keep what is said of their text apart.
    text = config.get("text_config")
    return {**text, **config} if isinstance(text, dict) else config


def _number(config: dict[str, Any], key: str) -> int | None:
    value = config.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _tensors(file: Path) -> list[tuple[str, tuple[int, ...]]]:
    """Dtype and shape of each tensor, from the head of a file of safetensors."""
    try:
        with file.open("rb") as opened:
            length = int.from_bytes(opened.read(8), "little")
            if length > os.fstat(opened.fileno()).st_size:
                raise ValueError("it is cut short")
            head = json.loads(opened.read(length))
        return [
            (str(told["dtype"]), tuple(map(int, told["shape"])))
            for name, told in head.items()
            if name != "__metadata__"
        ]
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigError(f"{file} is no file of safetensors: {error}") from None
