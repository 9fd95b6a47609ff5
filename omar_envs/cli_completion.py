"""Completion for a shell that is named; typer itself knows only the one that it runs in."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from typer.completion import get_completion_script, install  # type: ignore[attr-defined]

from omar_envs.errors import ConfigError
from omar_envs.terminal import show

SHELLS = ("bash", "zsh", "fish", "powershell", "pwsh")

_SHOW = "--show-completion"
_INSTALL = "--install-completion"


def asks_for_a_shell(words: Sequence[str]) -> bool:
    """Whether the words are ``--show-completion SHELL`` or ``--install-completion SHELL``."""
    return len(words) == 2 and words[0] in (_SHOW, _INSTALL)


def complete_for(words: Sequence[str], *, program: str, variable: str) -> None:
    """Print the script for a shell, or install it.

    Args:
        words: as :func:`asks_for_a_shell` wants them.
        program: name of the command.
        variable: of the environment, by which the script asks for completions.

    Raises:
        ConfigError: there is no script for this shell.
    """
    option, shell = words
    if shell not in SHELLS:
        near = get_close_matches(shell, SHELLS, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ConfigError(f"{option}: no shell {shell!r} is known: {hint}name {', '.join(SHELLS)}")
    if option == _INSTALL:
        _, path = install(shell=shell, prog_name=program, complete_var=variable)
        show(f"{shell} completion installed in {path}: it works in the next shell")
    else:
        show(get_completion_script(prog_name=program, complete_var=variable, shell=shell))
