"""A library that is missing, or too old or too new, is named with what to do about it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

from omar_envs.errors import ConfigError
from omar_envs.integrations import gem, skyrl_gym, textarena, trl
from omar_envs.integrations.libraries import SUPPORTED, check, library

MODULES = ("gem", "openenv", "skyrl_gym", "textarena", "trl", "verifiers", "verl")

USES: dict[str, Callable[[], object]] = {
    "gem": gem.register,
    "openenv": lambda: import_module("omar_envs.integrations.openenv").create_app,
    "skyrl_gym": lambda: skyrl_gym.register("omar-werewolf"),
    "textarena": textarena.register,
    "trl": trl.environment_factory,
    "verifiers": lambda: import_module("omar_envs.integrations.verifiers").SelfPlayEnv,
    "verl": lambda: import_module("omar_envs.integrations.verl").SeatAgentLoop,
}


def installed(monkeypatch: pytest.MonkeyPatch, folder: Path, name: str, version: str) -> None:
    """Give Python the metadata of a library, as an installation of it would."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    monkeypatch.syspath_prepend(str(folder))


def missing(module: str) -> bool:
    try:
        check(module)
    except ConfigError as error:
        return "this needs the library" in str(error)
    return False


def test_importing_the_integrations_imports_no_library() -> None:
    names = ", ".join(f"omar_envs.integrations.{module}" for module in MODULES)
    unwanted = {*MODULES, "torch", "pydantic"}
    code = f"import sys, {names}; print(*({unwanted!r} & {{*sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


@pytest.mark.parametrize("module", sorted(USES))
def test_a_missing_library_is_named_with_its_extra(module: str) -> None:
    if not missing(module):
        pytest.skip(f"{module} is installed here")
    with pytest.raises(ConfigError) as raised:
        USES[module]()
    assert f"pip install 'omar-envs[{SUPPORTED[module].extra}]'" in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("module", sorted(SUPPORTED))
@pytest.mark.parametrize("end", ["older", "newer"])
def test_another_version_is_refused_with_the_range(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, module: str, end: str
) -> None:
    wanted = SUPPORTED[module]
    version = "0.0.1" if end == "older" else f"{wanted.below}.1"
    installed(monkeypatch, tmp_path, wanted.distribution, version)
    with pytest.raises(ConfigError) as raised:
        library(module)
    message = str(raised.value)
    assert f"{wanted.distribution} {version} is not supported" in message
    assert f"{wanted.distribution}>={wanted.lowest},<{wanted.below}" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("version", "fits"),
    [
        ("0.7.2", False),
        ("0.7.3", True),
        ("0.7.3.post1", True),
        ("0.7.10", True),
        ("0.8", False),
        ("0.8.0", False),
        ("1.0", False),
    ],
)
def test_versions_are_compared_as_numbers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str, fits: bool
) -> None:
    """TextArena's range is 0.7.3 to below 0.8."""
    installed(monkeypatch, tmp_path, "textarena", version)
    if fits:
        check("textarena")
    else:
        with pytest.raises(ConfigError, match="is not supported"):
            check("textarena")
