"""Rubrics of one's own, from YAML.

::

    name: candour
    instructions: Score how openly each participant deals with the others.
    dimensions:
      - name: openness
        description: "0: hides everything; 10: tells all that concerns the others."
        low: 0
        high: 10
        weight: 2          # by default 1
    factor: 0.1            # the reward of scale "rubric": offset + factor · weighted mean
    offset: 0
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from omar_envs.errors import ConfigError
from omar_envs.judge.rubrics import RUBRICS, Rubric


def rubric_from_yaml(path: str | os.PathLike[str]) -> Rubric:
    """Read a rubric whose fields are those of :class:`~omar_envs.judge.rubrics.Rubric`.

    Raises:
        ConfigError: the file cannot be read, holds an unknown field, lacks one or is
            impossible; or PyYAML is not there.
    """
    name = os.fspath(path)
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"{name} cannot be read: {error.strerror or error}") from None
    try:
        return msgspec.yaml.decode(data, type=Rubric)
    except ImportError:
        raise ConfigError("rubrics in YAML need PyYAML: pip install 'omar-envs[judge]'") from None
    except (ValueError, RecursionError) as error:
        # A ValidationError quotes where it happened; the parser's own errors span lines.
        raise ConfigError(f"{name} is no rubric: {' '.join(str(error).split())}") from None


def rubric_by_name(text: str) -> Rubric:
    """A shipped rubric by its name, or one from the YAML file of that path.

    Raises:
        ConfigError: there is neither, or as :func:`rubric_from_yaml`.
    """
    if text in RUBRICS:
        return RUBRICS[text]
    if not text.endswith((".yaml", ".yml")):
        whole = ", ".join(name for name, rubric in RUBRICS.items() if rubric.unit == "episode")
        raise ConfigError(f"rubric must be {whole} or a file ending in .yaml: got {text!r}")
    return rubric_from_yaml(text)
