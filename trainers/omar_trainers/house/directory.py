"""Where the house model lies."""

from __future__ import annotations

from pathlib import Path


def house_directory() -> Path:
    """The folder with the house model, which ``from_pretrained`` reads.

    It comes with the package; ``python -m omar_trainers.house.build --seed 0 --out
    DIR`` made it, and ``build.json`` in it says with which settings.
    """
    return Path(__file__).resolve().parent / "weights"
