"""What a user gets from the wheel, and what the project says of itself."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import entry_points, metadata, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import omar_envs

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
EXTRAS_OF_MAKE = MAKEFILE.split("-e '.[")[1].split("]'")[0].split(",")


def constraints() -> dict[str, Requirement]:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(pin.name): pin for pin in pins}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    out = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (built,) = out.glob("*.whl")
    return zipfile.ZipFile(built)


def test_wheel_holds_all_sources_and_data(wheel: zipfile.ZipFile) -> None:
    held = set(wheel.namelist())
    expected = set()
    for source, inside in (
        (ROOT / "omar_envs", "omar_envs"),
        (ROOT / "trainers" / "omar_trainers", "omar_trainers"),
        (ROOT / "trainers" / "recipes", "omar_trainers/recipes"),
    ):
        for path in source.rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                expected.add(f"{inside}/{path.relative_to(source).as_posix()}")
    assert expected <= held, expected - held
    assert "omar_envs/py.typed" in held
    assert any(name.startswith("omar_trainers/recipes/") for name in held)


def test_wheel_holds_nothing_else(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "omar_envs",
        "omar_selfplay.py",
        "omar_trainers",
    }
    assert not [name for name in wheel.namelist() if "test" in name]


def test_version_is_said_once() -> None:
    assert omar_envs.__version__ == version("omar-envs") == PROJECT["version"]
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert f"## [{PROJECT['version']}]" in changelog


def test_command_is_installed() -> None:
    (command,) = entry_points(group="console_scripts", name="omar-envs")
    assert callable(command.load())


def test_license_is_the_apache_license() -> None:
    assert metadata("omar-envs")["License-Expression"] == "Apache-2.0"
    text = (ROOT / "LICENSE").read_text("utf-8")
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_core_is_light() -> None:
    names = {Requirement(line).name for line in PROJECT["dependencies"]}
    assert names == {"gymnasium", "msgspec", "numpy", "pettingzoo"}


@pytest.mark.parametrize("extra", [None, *EXTRAS])
def test_requirements_are_floors(extra: str | None) -> None:
    for line in PROJECT["dependencies"] if extra is None else EXTRAS[extra]:
        operators = {part.operator for part in Requirement(line).specifier}
        assert operators <= {">="}, f"{line}: floors only"


@pytest.mark.parametrize("extra", [None, *EXTRAS_OF_MAKE])
def test_constraints_pin_what_is_installed_by_make(extra: str | None) -> None:
    pins = constraints()
    for line in PROJECT["dependencies"] if extra is None else EXTRAS[extra]:
        wanted = Requirement(line)
        pin = pins[canonicalize_name(wanted.name)]
        (exact,) = pin.specifier
        assert exact.operator == "=="
        assert wanted.specifier.contains(Version(exact.version)), f"{pin} against {wanted}"


def test_constraints_name_no_local_builds_or_addresses() -> None:
    for pin in constraints().values():
        assert re.fullmatch(r"==[^+]+", str(pin.specifier)), pin
        assert pin.url is None


def test_make_leaves_pip_to_its_user() -> None:
    text = (ROOT / "Makefile").read_text("utf-8")
    for flag in ("--index-url", "--extra-index-url", "--find-links", "PIP_"):
        assert flag not in text
