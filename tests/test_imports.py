"""The floors: which module may import which, held by walking the sources.

A module may import its own floor and those below. Imports inside functions and
under ``TYPE_CHECKING`` count like any other.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import omar_envs

ROOT = Path(__file__).resolve().parents[1]
ENVS = ROOT / "omar_envs"
TRAINERS = ROOT / "trainers" / "omar_trainers"

FLOORS: tuple[tuple[str, ...], ...] = (
    ("types", "spaces", "errors", "parsing", "intervals", "registry", "background"),
    (
        "werewolf.rules",
        "werewolf.roles",
        "werewolf.settings",
        "werewolf.schedule",
        "werewolf.tally",
        "werewolf.presets",
        "sotopia.acts",
        "sotopia.importer",
        "sotopia.published_deals",
        "sotopia.published_episodes",
        "sotopia.published_profiles",
        "sotopia.published_rewards",
        "sotopia.published_rows",
        "sotopia.library",
        "sotopia.outcomes",
        "sotopia.mechanisms",
        "sotopia.profiles",
        "sotopia.visibility",
    ),
    ("conversation", "engine", "inbox", "ledger", "log", "judging", "checks", "stages"),
    ("werewolf", "werewolf_v0", "sotopia", "sotopia_v0", "parallel"),
    (
        "wrappers",
        "policy",
        "chat_policy",
        "endpoint",
        "endpoint_answers",
        "acting",
        "metering",
        "sampling",
        "judge",
        "playing",
    ),
    ("rollout",),
    ("by_name", "terminal"),
    (
        "transcript",
        "arena",
        "export",
        "model_folder",
        "replay",
        "wrappers.opponents",
        "wrappers.single_agent",
    ),
    (
        "cli",
        "cli_completion",
        "cli_eval",
        "cli_export",
        "cli_help",
        "cli_judge",
        "cli_judge_report",
        "cli_measure",
        "cli_model",
        "cli_options",
        "cli_play",
        "cli_replay",
        "cli_rollout",
        "cli_sft",
        "cli_sotopia",
        "cli_train",
        "integrations",
        "terminal_play",
        "",
    ),
)
"""Bottom first. A name stands for the module and all below it that have no entry
of their own; the empty name is the package's ``__init__``."""

OPTIONAL = {
    "accelerate",
    "datasets",
    "gem",
    "matplotlib",
    "omar_trainers",
    "omegaconf",
    "openai",
    "openenv",
    "openskill",
    "peft",
    "pydantic",
    "ray",
    "rich",
    "sb3_contrib",
    "scipy",
    "skyrl_gym",
    "stable_baselines3",
    "supersuit",
    "tensordict",
    "textarena",
    "tianshou",
    "torch",
    "torchrl",
    "transformers",
    "trl",
    "typer",
    "verifiers",
    "verl",
    "vllm",
    "yaml",
}
"""What ``import omar_envs`` must work without."""

TERMINAL = {"rich", "typer"}
WITH_THE_TERMINAL = ("cli_", "terminal_play.rich_screen")
"""Modules that only the command line imports, once it knows that these libraries are there."""

MAY_START_THE_TRAINER = ("by_name", "cli", "cli_export", "cli_sft", "cli_train", "integrations")
"""Modules whose functions may import ``omar_trainers``, when they are called."""


PUBLIC = [
    "ChatPolicy",
    "Episode",
    "HumanPolicy",
    "NegotiatorPolicy",
    "Policy",
    "RandomPolicy",
    "ScriptedPolicy",
    "SinglePolicyWrapper",
    "View",
    "__version__",
    "errors",
    "judge",
    "rollout",
    "sotopia_v0",
    "transcript",
    "werewolf_v0",
]


class Import(NamedTuple):
    """One absolute name that a source imports."""

    name: str
    line: int
    lazy: bool  # inside a function, or for the type checker only


def module_name(path: Path, package: Path) -> str:
    parts = path.relative_to(package).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def sources(package: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(package.rglob("*.py")):
        yield module_name(path, package), path


def imports(source: str, name: str, is_package: bool) -> Iterator[Import]:
    """Every import in a source text, relative ones made absolute."""
    own_package = name.split(".") if is_package else name.split(".")[:-1]

    def walk(node: ast.AST, lazy: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, lazy)
        elif isinstance(node, ast.ImportFrom):
            base = own_package[: len(own_package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield Import(f"{module}.{alias.name}", node.lineno, lazy)
        function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        checking = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for child in ast.iter_child_nodes(node):
            yield from walk(child, lazy or function or checking)

    return walk(ast.parse(source), False)


def floor(name: str) -> int | None:
    """Floor of a module of ``omar_envs`` by its longest listed name."""
    parts = name.split(".") if name else [""]
    for length in range(len(parts), 0, -1):
        for number, names in enumerate(FLOORS):
            if ".".join(parts[:length]) in names:
                return number
    return None


def imports_of(name: str, path: Path, package: Path) -> list[Import]:
    full = f"{package.name}.{name}" if name else package.name
    return list(imports(path.read_text("utf-8"), full, path.name == "__init__.py"))


def target(imported: str, modules: set[str]) -> str:
    """Module of ``omar_envs`` that an absolute name reaches into."""
    parts = imported.split(".")[1:]
    while parts and ".".join(parts) not in modules:
        parts.pop()
    return ".".join(parts)


def test_every_module_has_a_floor() -> None:
    homeless = [name for name, _ in sources(ENVS) if floor(name) is None]
    assert not homeless, f"give these a floor in FLOORS: {homeless}"


def test_imports_go_downward_only() -> None:
    modules = {name for name, _ in sources(ENVS)}
    upward = []
    for name, path in sources(ENVS):
        own = floor(name)
        for imported in imports_of(name, path, ENVS):
            if imported.name.split(".")[0] != "omar_envs":
                continue
            reached = target(imported.name, modules)
            if reached == "" and imported.name != "omar_envs.__version__":
                upward.append(f"{path.name}:{imported.line} imports the package itself")
                continue
            other = floor(reached)
            if reached and own is not None and other is not None and other > own:
                upward.append(f"{path.relative_to(ROOT)}:{imported.line} imports {reached}")
    assert not upward, upward


def test_optional_libraries_are_never_imported_at_module_level() -> None:
    eager = [
        f"{path.relative_to(ROOT)}:{imported.line} imports {imported.name}"
        for name, path in sources(ENVS)
        for imported in imports_of(name, path, ENVS)
        if imported.name.split(".")[0] in OPTIONAL and not imported.lazy
        if not (imported.name.split(".")[0] in TERMINAL and name.startswith(WITH_THE_TERMINAL))
    ]
    assert not eager, eager


def test_only_the_top_floor_starts_the_trainer() -> None:
    reaching = [
        f"{path.relative_to(ROOT)}:{imported.line}"
        for name, path in sources(ENVS)
        for imported in imports_of(name, path, ENVS)
        if imported.name.split(".")[0] == "omar_trainers"
        and name.split(".")[0] not in MAY_START_THE_TRAINER
    ]
    assert not reaching, reaching


def test_torch_is_for_the_trainer_alone() -> None:
    users = [
        name
        for name, path in sources(ENVS)
        for imported in imports_of(name, path, ENVS)
        if imported.name.split(".")[0] == "torch"
    ]
    assert not users


def test_no_import_cycle_inside_a_floor() -> None:
    modules = {name for name, _ in sources(ENVS) if name}
    edges = {
        name: {
            reached
            for imported in imports_of(name, path, ENVS)
            if imported.name.startswith("omar_envs.")
            and not imported.lazy
            and (reached := target(imported.name, modules)) not in ("", name)
        }
        for name, path in sources(ENVS)
        if name
    }
    while leaves := {name for name, reached in edges.items() if not reached & edges.keys()}:
        for name in leaves:
            del edges[name]
    assert not edges, f"import each other in a circle: {sorted(edges)}"


@pytest.mark.parametrize(
    "statement",
    [
        "import omar_envs",
        "from omar_envs import werewolf_v0; werewolf_v0.env().reset(seed=1)",
        "import omar_envs.cli",
    ],
)
def test_importing_loads_nothing_heavy(statement: str) -> None:
    """``python -X importtime -c 'import omar_envs'`` shows where the time goes."""
    code = f"{statement}\nimport sys; print(*{sorted(OPTIONAL)!r} & sys.modules.keys())"
    code = code.replace(f"*{sorted(OPTIONAL)!r}", f"*set({sorted(OPTIONAL)!r})")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


def test_public_names() -> None:
    """A name that goes, or comes, is a change that users meet: it belongs in the changelog."""
    assert sorted(omar_envs.__all__) == PUBLIC
    for name in PUBLIC:
        assert name in dir(omar_envs)
        getattr(omar_envs, name)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import torch", ("torch", False)),
        ("def f():\n    import torch", ("torch", True)),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch", ("torch", True)),
        ("try:\n    import torch\nexcept ImportError:\n    pass", ("torch", False)),
        ("from . import rules", ("omar_envs.werewolf.rules", False)),
        ("from ..types import View", ("omar_envs.types.View", False)),
    ],
)
def test_the_walk_itself(source: str, expected: tuple[str, bool]) -> None:
    found = list(imports(source, "omar_envs.werewolf.env", is_package=False))[-1]
    assert (found.name, found.lazy) == expected
