"""Where recipes lie, and which come along; imports nothing, so that completing a name is quick."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from omar_envs.errors import ConfigError

_HERE = Path(__file__).resolve().parent
# Beside the package in a source tree, inside it in a wheel.
_FOLDERS = (_HERE.parent / "recipes", _HERE / "recipes")


def bundled_recipes() -> list[str]:
    """Names of the recipes that come along, sorted."""
    return sorted(path.stem for folder in _FOLDERS for path in folder.glob("*.yaml"))


def recipe_path(recipe: str) -> Path:
    """The file of a recipe: a path, or the name of a bundled one.

    Raises:
        ConfigError: there is none; the message names the nearest bundled one and all.
    """
    if Path(recipe).is_file():
        return Path(recipe)
    for folder in _FOLDERS:
        for name in (recipe, f"{recipe}.yaml"):
            if (folder / name).is_file():
                return folder / name
    bundled = bundled_recipes()
    close = get_close_matches(recipe.lower(), bundled, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise ConfigError(
        f"there is no recipe {recipe!r}: {hint}give a YAML file, or {', '.join(bundled)}"
    )
