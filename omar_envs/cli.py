"""The command ``omar-envs``: play, roll out, compare, measure, judge, replay, import, train.

Every command is a function ``command`` in a module of its own, and one line of
:func:`_application`. What its user got wrong is told on standard error, mostly in one
line, with exit code 2 and never a traceback. Nothing that a command needs is imported
before it runs; the command line itself needs typer and rich, which ``import omar_envs``
does not.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from omar_envs.errors import OmarError
from omar_envs.terminal import printable

if TYPE_CHECKING:
    import typer

EXIT_MISUSE = 2
EXIT_INTERRUPTED = 130

PROGRAM = "omar-envs"
_COMPLETE = "_OMAR_ENVS_COMPLETE"
"""Set by the shell that asks for completions."""

_PLAYING = "Play and watch"
_MEASURING = "Compare and measure"
_TRAINING = "Train"
_DATA = "Data"

_EXIT_CODES = """\
exit codes:
  0    done
  1    done, but with nothing or not all of use, where a command's help says so;
       or an error in this program, with its traceback
  2    an option, a file or a setting is wrong: standard error says which
  3    training was ended by an alarm or a guard; the model is saved
  130  stopped by Ctrl-C
  143  training was stopped by SIGTERM; the same command goes on

Each command explains itself: omar-envs play --help
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the words after ``omar-envs``; the process's own by default.

    Returns:
        exit code: 0, 2 if the user must change something, 130 if interrupted; another one
        where a command's help says so.

    Raises:
        SystemExit: help, the version or a script for completion was asked for and is
            printed; or the words cannot be read.
    """
    words = sys.argv[1:] if argv is None else argv
    try:
        code = _run(words)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print(file=sys.stderr)  # the shell's prompt should not follow ^C
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of a pipe has left, as `head` does. Python would complain
        # once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except SystemExit as stop:
        if isinstance(stop.__context__, BrokenPipeError):  # rich has met the same
            return 0
        raise
    except OmarError as error:
        return _complain(PROGRAM, str(error))
    return code or 0


def _run(words: Sequence[str]) -> int | None:
    try:
        import typer

        from omar_envs.cli_completion import asks_for_a_shell, complete_for
        from omar_envs.cli_help import Misuse
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("typer", "rich"):
            raise
        return _complain(PROGRAM, "this command needs typer and rich: pip install 'omar-envs[cli]'")
    if asks_for_a_shell(words):
        complete_for(words, program=PROGRAM, variable=_COMPLETE)
        return 0
    command = typer.main.get_command(_application())
    if _COMPLETE in os.environ:
        command.main(prog_name=PROGRAM)
    try:
        with command.make_context(PROGRAM, list(words)) as context:
            code: int | None = command.invoke(context)
    except typer.Exit as stop:
        raise SystemExit(stop.exit_code) from None
    except Misuse as error:
        raise SystemExit(
            _complain(error.command, f"{error} (see {error.command} --help)")
        ) from None
    return code


def _complain(who: str, text: str) -> int:
    told = "\n".join(printable(line.rstrip()) for line in text.splitlines())
    print(f"{who}: {told}", file=sys.stderr)
    return EXIT_MISUSE


def _application() -> typer.Typer:
    from omar_envs import (
        cli_eval,
        cli_export,
        cli_judge,
        cli_measure,
        cli_model,
        cli_play,
        cli_replay,
        cli_rollout,
        cli_sft,
        cli_sotopia,
        cli_train,
    )
    from omar_envs.cli_help import About, add_command, add_group, new_group

    about = About(
        "Social games for language models: play, compare, judge, replay, train.",
        "omar-envs rollout --policy scripted --episodes 20 --out episodes.jsonl\n"
        "  omar-envs replay episodes.jsonl",
        _EXIT_CODES,
    )
    app = new_group(about, program=True)
    add_command(app, "play", _PLAYING, cli_play.ABOUT, cli_play.command)
    add_command(app, "rollout", _PLAYING, cli_rollout.ABOUT, cli_rollout.command)
    add_command(app, "replay", _PLAYING, cli_replay.ABOUT, cli_replay.command)
    add_command(app, "eval", _MEASURING, cli_eval.ABOUT, cli_eval.command)
    add_command(app, "measure", _MEASURING, cli_measure.ABOUT, cli_measure.command)
    add_command(app, "judge", _MEASURING, cli_judge.ABOUT, cli_judge.command)
    add_command(app, "export", _DATA, cli_export.ABOUT, cli_export.command)
    add_command(app, "train", _TRAINING, cli_train.ABOUT, cli_train.command, hands_on=True)
    add_command(app, "sft", _TRAINING, cli_sft.ABOUT, cli_sft.command, hands_on=True)

    model = new_group(cli_model.GROUP)
    add_command(model, "house", None, cli_model.HOUSE, cli_model.house)
    add_command(model, "info", None, cli_model.INFO, cli_model.info)
    add_group(app, "model", _TRAINING, model)

    sotopia = new_group(cli_sotopia.GROUP)
    add_command(sotopia, "import", None, cli_sotopia.ABOUT, cli_sotopia.command)
    add_group(app, "sotopia", _DATA, sotopia)
    return app


if __name__ == "__main__":
    sys.exit(main())
