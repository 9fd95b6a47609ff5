"""A judge in a recipe: text and numbers become one, with a memory on disk.

::

    env_name: sotopia_v0
    env_kwargs:
      reward: judge
      judge: http://localhost:8000/v1#Qwen/Qwen3-32B

or, with settings of :class:`omar_envs.judge.OpenAIJudge`,

::

      judge: {url: "http://localhost:8000/v1#Qwen/Qwen3-32B", rubric: omar, scale: rubric}

The key of an endpoint is read from ``OPENAI_API_KEY`` and stands in no recipe. What
the judge answers is kept in ``judge/`` of the output folder, unless ``cache`` names
another place: a run that was killed asks nothing twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omar_envs.errors import ConfigError
from omar_envs.types import Judge

JUDGE_FOLDER = "judge"


def judge_of(described: str | Mapping[str, Any], output_dir: str, where: str) -> Judge:
    """The judge that a recipe describes.

    Args:
        described: ``URL#model``, or a mapping with that as ``url`` and settings of
            ``OpenAIJudge`` beside.
        output_dir: of the run.
        where: the setting that describes it, for messages.

    Raises:
        ConfigError: the description does not describe a judge.
    """
    settings = {"url": described} if isinstance(described, str) else dict(described)
    url = settings.pop("url", None)
    if not isinstance(url, str):
        raise ConfigError(f"{where} needs a url, as URL#model: got {described!r}")
    if "api_key" in settings:
        raise ConfigError(
            f"{where} has an api_key, which would be written to the output folder: set "
            "OPENAI_API_KEY instead"
        )
    # Only a run with a judge needs the client's library.
    from omar_envs.judge import judge_from_url

    settings.setdefault("cache", str(Path(output_dir) / JUDGE_FOLDER))
    try:
        return judge_from_url(url, **settings)
    except TypeError as error:
        raise ConfigError(f"{where} does not take these settings: {error}") from None


def with_judge(env_kwargs: Mapping[str, Any], output_dir: str) -> dict[str, Any]:
    """The arguments of an environment, with a judge where a recipe has only described one.

    Args:
        env_kwargs: ``judge`` may be described as for :func:`judge_of`. A judge that is
            one already stays as it is, and keeps what its own ``cache`` says.
        output_dir: of the run.

    Raises:
        ConfigError: the description does not describe a judge.
    """
    described = env_kwargs.get("judge")
    if not isinstance(described, str | Mapping):
        return dict(env_kwargs)
    return dict(env_kwargs) | {"judge": judge_of(described, output_dir, "env_kwargs: judge")}


def without_address(env_kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The same arguments with a described judge's model in place of its address.

    A server that moves to another port is still the same judge.
    """
    found = dict(env_kwargs)
    judge = found.get("judge")
    if isinstance(judge, str):
        found["judge"] = judge.partition("#")[2]
    elif isinstance(judge, Mapping):
        free = ("cache", "concurrency", "timeout", "max_retries", "prices", "max_cost")
        found["judge"] = {
            name: str(value).partition("#")[2] if name == "url" else value
            for name, value in judge.items()
            if name not in free
        }
    return found
