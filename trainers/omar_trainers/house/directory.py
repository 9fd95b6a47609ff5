"""Where the house model lies: built once, then found again."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

CACHE_VARIABLE = "OMAR_ENVS_CACHE"
"""Environment variable: folder to keep built models in, ``~/.cache/omar-envs`` by default."""

_SOURCES = (
    "omar_envs.werewolf.bots",
    "omar_envs.werewolf.prompts",
    "omar_envs.werewolf.rules",
    "omar_trainers.house.build",
    "omar_trainers.house.model",
    "omar_trainers.house.tokenizer",
    "omar_trainers.sft",
    "omar_trainers.tokens",
)
"""What decides the model: a change here is another model."""


def house_directory(seed: int = 0, *, progress: bool = True) -> Path:
    """A folder that ``from_pretrained`` reads, with the house model of this seed.

    The first call builds it, in a minute or two on one core; later calls find
    it, in any process, until the bots, the prompts or the recipe change.

    Args:
        seed: of the build.
        progress: say on stderr that it is being built, and how far it is.

    Raises:
        OSError: the cache folder cannot be written.
    """
    cache = Path(os.environ.get(CACHE_VARIABLE) or Path.home() / ".cache" / "omar-envs")
    folder = cache / f"house-{_fingerprint()}-seed{seed}"
    if (folder / "config.json").is_file():
        return folder
    from omar_trainers.house.build import build

    if progress:
        print(f"building the house model, once, in {folder}", file=sys.stderr)
    house = build(seed, progress=progress)
    cache.mkdir(parents=True, exist_ok=True)
    # Another process may be building too: whoever is first moves its folder in place.
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        house.save(Path(scratch) / "house")
        try:
            os.rename(Path(scratch) / "house", folder)
        except OSError:
            if not (folder / "config.json").is_file():
                raise
    return folder


def _fingerprint() -> str:
    digest = hashlib.sha256()
    for name in _SOURCES:
        spec = find_spec(name)
        assert spec is not None and spec.origin is not None
        digest.update(Path(spec.origin).read_bytes())
    return digest.hexdigest()[:12]
