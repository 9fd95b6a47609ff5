"""How every command reads its words and explains itself, on top of typer's own classes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, NamedTuple

import typer
from rich.markup import escape
from typer.core import TyperCommand, TyperGroup, TyperOption

from omar_envs import __version__
from omar_envs.errors import ConfigError

SET = "--set"
_SETTING = re.compile(r"[A-Za-z_]\w*=")


class About(NamedTuple):
    """What the help of a command says beside its options.

    Attributes:
        summary: one sentence.
        example: one command line.
        notes: lines of at most 80 characters, shown as they stand.
        bare: options whose value may be left out, each with what is then its value.
    """

    summary: str
    example: str
    notes: str = ""
    bare: Mapping[str, str] = {}

    @property
    def epilog(self) -> str:
        """What stands below the options."""
        return "\n".join([f"example:\n  {self.example}", *([f"\n{self.notes}"] * bool(self.notes))])


def add_command(
    app: typer.Typer,
    name: str,
    panel: str | None,
    about: About,
    command: Callable[..., int | None],
    *,
    hands_on: bool = False,
) -> None:
    """Register a command.

    Args:
        app: what it is a command of.
        name: what users type.
        panel: title under which the help lists it; ``None`` for the usual one.
        about: its help.
        command: what it does; its exit code, where that is not 0.
        hands_on: whether options that it does not know reach it, in ``context.args``.
    """
    settings = {"allow_extra_args": hands_on, "ignore_unknown_options": hands_on}
    app.command(
        name,
        cls=type("Command", (Command,), {"bare": about.bare}),
        context_settings=settings,
        help=escape(about.summary),
        epilog=about.epilog,
        rich_help_panel=panel,
    )(command)


def new_group(about: About, *, program: bool = False) -> typer.Typer:
    """Commands to be, which show their help when none of them is named.

    Args:
        about: the help.
        program: whether this is all of it: with ``--version``, and completion for shells.
    """
    group = typer.Typer(
        cls=Group,
        add_completion=program,
        context_settings={"help_option_names": ["-h", "--help"]},
        epilog=about.epilog,
        help=escape(about.summary),
        invoke_without_command=True,
        rich_markup_mode="rich",
        subcommand_metavar="COMMAND ...",
    )
    group.callback()(_program if program else _group)
    return group


def _group(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"omar-envs {__version__}")
        raise typer.Exit


def _program(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version."),
    ] = False,
) -> None:
    _group(context)


def add_group(app: typer.Typer, name: str, panel: str, group: typer.Typer) -> None:
    """Register commands under a name of their own."""
    app.add_typer(group, name=name, rich_help_panel=panel)


class Misuse(ConfigError):
    """Words that a command cannot read.

    Attributes:
        command: whose, from ``omar-envs`` on.
    """

    def __init__(self, command: str, error: typer.TyperException) -> None:
        super().__init__(" ".join(error.format_message().split()))
        self.command = command


class Command(TyperCommand):
    """One command; raises :class:`Misuse` in the place of typer's complaints."""

    bare: Mapping[str, str] = {}

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take ``--set`` as argparse does, with any number of settings behind it."""
        try:
            return super().parse_args(ctx, with_values(one_by_one(args), self.bare))
        except typer.TyperException as error:
            raise Misuse(ctx.command_path, error) from None

    def get_params(self, ctx: Any) -> Any:
        """As typer does, but that a flag has no value to be named."""
        return _flags_without_value(super().get_params(ctx))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Show the help, and the epilog as it stands."""
        with _epilog_apart(self, formatter):
            super().format_help(ctx, formatter)


class Group(TyperGroup):
    """Commands under one name; raises :class:`Misuse` in the place of typer's complaints."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As typer does."""
        try:
            return super().parse_args(ctx, args)
        except typer.TyperException as error:
            raise Misuse(ctx.command_path, error) from None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """As typer does, which also names the nearest command."""
        try:
            return super().resolve_command(ctx, args)
        except typer.TyperException as error:
            raise Misuse(ctx.command_path, error) from None

    def get_params(self, ctx: Any) -> Any:
        """As typer does, but that a flag has no value to be named."""
        return _flags_without_value(super().get_params(ctx))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Show the help, and the epilog as it stands."""
        with _epilog_apart(self, formatter):
            super().format_help(ctx, formatter)


def _flags_without_value(params: Any) -> Any:
    for param in params:
        if isinstance(param, TyperOption) and param.is_flag and param.metavar is None:
            param.metavar = ""  # typer names a <bool>, which nobody can give
    return params


@contextmanager
def _epilog_apart(command: TyperCommand | TyperGroup, formatter: Any) -> Iterator[None]:
    """Keep the epilog from typer, which would read markup in it and pad its lines."""
    epilog, command.epilog = command.epilog, None
    try:
        yield
    finally:
        command.epilog = epilog
    formatter.write(epilog or "")


def with_values(words: Sequence[str], bare: Mapping[str, str]) -> list[str]:
    """The words, with the values of options that stand without one."""
    told: list[str] = []
    for word, following in zip(words, (*words, "--")[1:], strict=True):
        told.append(word)
        if word == "--":
            return [*words]
        if word in bare and following.startswith("-") and following != "-":
            told.append(bare[word])
    return told


def one_by_one(words: Sequence[str]) -> list[str]:
    """``--set a=1 b=2`` as ``--set a=1 --set b=2``, which is what typer reads."""
    spread: list[str] = []
    values = 0  # of the --set before this word; 0 where there is none
    for position, word in enumerate(words):
        if word == "--":
            return [*spread, *words[position:]]
        if word == SET and values != 1:
            values = 1
        elif values == 1:
            values = 2
        elif values == 2 and _SETTING.match(word):
            spread.append(SET)
        else:
            values = 0
        spread.append(word)
    return spread
