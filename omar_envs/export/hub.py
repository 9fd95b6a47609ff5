"""Exports as Hugging Face ``datasets``: on disk, and on the hub where that is asked for."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from omar_envs.errors import ConfigError
from omar_envs.export.columns import Format, features

if TYPE_CHECKING:
    from datasets import DatasetDict

_INT64 = 2**63


def need_datasets() -> None:
    """Find out that ``datasets`` is there.

    Raises:
        ConfigError: it is not.
    """
    try:
        import datasets  # noqa: F401
    except ModuleNotFoundError:
        raise ConfigError(
            "the library datasets is missing: pip install 'omar-envs[export]'"
        ) from None


def check_seed(seed: int) -> None:
    """Refuse a seed that no column holds.

    Raises:
        ConfigError: it has more than 63 bits.
    """
    if seed >= _INT64:
        raise ConfigError(
            f"the seed {seed} is too large for a column of datasets (at most {_INT64 - 1}): export "
            "lines of JSON instead"
        )


def save(staging: Path, files: Mapping[str, Path], format: Format) -> None:
    """Lines of JSON to a ``DatasetDict`` on disk, in place of them.

    Args:
        staging: where ``dataset_dict.json`` goes.
        files: of each split; they are removed.
        format: what a row is.
    """
    import datasets

    with _quietly():
        cache = staging / "cache"
        splits = {
            split: datasets.Dataset.from_generator(
                _rows,
                features=features(format),
                gen_kwargs={"path": str(path)},
                cache_dir=str(cache),
                split=datasets.NamedSplit(split),
            )
            for split, path in files.items()
        }
        datasets.DatasetDict(splits).save_to_disk(str(staging))
    for path in files.values():
        path.unlink()
    shutil.rmtree(cache)


def check_hub(repo: str) -> None:
    """Find out that somebody is logged in who may push.

    Raises:
        ConfigError: nobody is, the hub does not answer, or the name is none.
    """
    import huggingface_hub

    hub = huggingface_hub.HfApi()
    try:
        hub.whoami()
        hub.repo_exists(repo, repo_type="dataset")
    except huggingface_hub.errors.HFValidationError as error:
        raise ConfigError(f"{repo!r} names no repository on the hub: {error}") from None
    # The errors of the network are those of a library below, another one in each version.
    except Exception as error:
        raise ConfigError(
            f"nothing can be pushed to the hub: {_why(error)}. Log in with `hf auth login`, or "
            "leave out push_to_hub"
        ) from None


def push(folder: Path, repo: str, *, private: bool) -> str:
    """Push a saved ``DatasetDict`` with its card; returns the address.

    Raises:
        ConfigError: the hub refuses it. What was exported stays on the disk.
    """
    import datasets
    import huggingface_hub

    try:
        data: DatasetDict = datasets.load_from_disk(str(folder))
        data.push_to_hub(repo, private=private)
        pushed = huggingface_hub.DatasetCard.load(repo)
        card = huggingface_hub.DatasetCard((folder / "README.md").read_text(encoding="utf-8"))
        for name in ("dataset_info", "configs"):
            card.data[name] = pushed.data.get(name)
        card.push_to_hub(repo, repo_type="dataset")
    except Exception as error:  # as in check_hub
        raise ConfigError(f"{folder} is written, but not pushed: {_why(error)}") from None
    return f"{huggingface_hub.constants.ENDPOINT}/datasets/{repo}"


def _rows(path: str) -> Iterator[dict[str, Any]]:
    with open(path, "rb") as lines:
        for line in lines:
            yield msgspec.json.decode(line)


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the library's own progress bars, which would run beside ours."""
    import datasets

    if datasets.are_progress_bars_disabled():
        yield
        return
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        datasets.enable_progress_bars()


def _why(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
