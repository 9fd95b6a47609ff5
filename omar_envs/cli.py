"""The command ``omar-envs``: play, roll out, compare, measure, judge, replay, import, train.

What its user got wrong is told on standard error, mostly in one line, with exit code
2 and never a traceback. Only the commands that need a model import the trainer, when they run.
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path

from omar_envs import __version__, cli_judge, cli_sotopia
from omar_envs.arena import compare, total_games
from omar_envs.by_name import (
    Game,
    Sampling,
    game_for,
    parse_settings,
    policy_by_name,
    training_libraries,
)
from omar_envs.cli_options import (
    DEFAULT,
    EXIT_MISUSE,
    POLICIES,
    SETTINGS,
    Command,
    Commands,
    Parser,
    add_batch,
    add_command,
    add_overwrite,
    add_set,
    add_temperatures,
    natural,
    new_file,
    positive,
)
from omar_envs.errors import ConfigError, OmarError
from omar_envs.policy import HumanPolicy
from omar_envs.replay import write_replay
from omar_envs.rollout import ENVS, play, run
from omar_envs.terminal import ask, counter, printable, show
from omar_envs.transcript import read_episodes, replace_file, write_episodes
from omar_envs.werewolf.measures import markdown, measure
from omar_envs.werewolf.rules import team_of

EXIT_INTERRUPTED = 130

TRAINING = """\
A recipe is a YAML file of settings, or the name of one that comes along:
werewolf_house_demo, werewolf_smollm2, werewolf_qwen3_4b. Any setting can be given
as --key value, and then wins over the recipe. Often wanted:
  --model_name_or_path MODEL   what to start from: a folder, a name on the hub
  --output_dir DIR             where metrics, checkpoints and final/ go
  --total_iterations N         how long
  --games_per_iteration N      games between two updates
  --resume never               begin again, in another output_dir
A run that was stopped, however, goes on with the same command. SIGTERM saves a
checkpoint at the end of the iteration. Exit codes: 130 after Ctrl-C, 143 after SIGTERM.
All settings: pydoc omar_trainers.config. Needs pip install 'omar-envs[train]'.
On several GPUs: torchrun --nproc_per_node 8 -m omar_trainers.train --recipe NAME
"""

COLD_START = """\
Often wanted, each as --key value:
  --model MODEL                what learns: a folder, a name on the hub, or house
  --episodes FILE ...          recorded by omar-envs rollout, play, or any policy
  --best_of N                  of every N seats that can be compared the best is learned
  --min_return X               and only if it was paid as much (default: whatever it was)
  --balance role|team|none     keep as many of each (default: role)
  --turn_filter rules|none     leave out speech that repeats or copies (default: rules)
  --output_dir DIR             where checkpoints, cold_start.json and final/ go
A run that was stopped, however, goes on with the same command.
All settings: pydoc omar_trainers.cold_start_config. Needs pip install 'omar-envs[train]'.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the words after ``omar-envs``; the process's own by default.

    Returns:
        exit code: 0, 2 if the user must change something, 130 if interrupted; another one
        where a command's help says so.
    """
    parser = _parser()
    args, rest = parser.parse_known_args(argv)
    if args.command in (_train, _sft):
        args.arguments = rest
    elif rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    command: Command = args.command
    try:
        code = command(args)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print(file=sys.stderr)  # the shell's prompt should not follow ^C
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of a pipe has left, as `head` does. Python would complain
        # once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OmarError as error:
        print(f"omar-envs: {_told(str(error))}", file=sys.stderr)
        return EXIT_MISUSE
    return code or 0


def _told(text: str) -> str:
    return "\n".join(printable(line.rstrip()) for line in text.splitlines())


# --- the commands -----------------------------------------------------------


def _rollout(args: argparse.Namespace) -> None:
    out = new_file(args.out, args.overwrite)
    game = _game(args, args.policy)
    episodes = run(
        game.make,
        policy_by_name(args.policy, args.seed, game, _sampling(args)),
        args.episodes,
        args.seed,
        batch=args.batch,
        progress=counter("games", args.episodes),
    )
    write_episodes(out, episodes)
    show(f"{len(episodes)} episodes in {out}")


def _measure(args: argparse.Namespace) -> None:
    show(markdown({path.stem: measure(read_episodes(path)) for path in args.files}))


def _eval(args: argparse.Namespace) -> None:
    out = None if args.json is None else new_file(args.json, args.overwrite)
    game = _game(args, args.a, args.b)
    result = compare(
        game.make,
        policy_by_name(args.a, args.seed, game, _sampling(args)),
        policy_by_name(args.b, args.seed + 1, game, _sampling(args)),
        team_of=team_of,
        games=args.games,
        seed=args.seed,
        batch=args.batch,
        progress=counter("games", total_games(args.games)),
    )
    if out is not None:
        replace_file(out, [result.to_json().encode("utf-8"), b"\n"])
    show(result.table())


def _play(args: argparse.Namespace) -> None:
    out = None if args.out is None else new_file(args.out, args.overwrite)
    seed = secrets.randbelow(2**31) if args.seed is None else args.seed
    game = _game(args, args.opponents)
    env = game.make()
    seats = env.possible_agents
    if args.seat >= len(seats):
        raise ConfigError(
            f"there is no seat {args.seat}: this game has seats 0 to {len(seats) - 1}"
        )
    you = seats[args.seat]
    opponents = policy_by_name(args.opponents, seed, game)
    episode = play(env, opponents, seed, overrides={you: HumanPolicy(ask, show)})
    # What came after your last act answers no request, so nothing has shown it yet.
    last = env.view(you).messages[-1]
    if last["role"] == "user":
        show(last["content"])
    roles = [f"{seat.name} {seat.role}" for seat in episode.seats if seat.role is not None]
    show(f"\nWho was who: {', '.join(roles)}" if roles else "")
    show(f"Your reward: {episode.total_reward(you):+.2f}. The same game again: --seed {seed}")
    if out is not None:
        write_episodes(out, [episode])


def _replay(args: argparse.Namespace) -> None:
    episodes = read_episodes(args.file)
    out = args.file.with_suffix(".html") if args.out is None else args.out
    write_replay(out, episodes, title=args.file.stem)
    show(f"{len(episodes)} episodes in {out}: open it in a browser")


def _sotopia_import(args: argparse.Namespace) -> int:
    for out in (args.out, args.episodes):
        if out is not None:
            new_file(out, args.overwrite)
    return cli_sotopia.run(args)


def _train(args: argparse.Namespace) -> int:
    with training_libraries():
        from omar_trainers import train

    config, model = train.parse(args.arguments)
    code: int = train.launch(config, model)
    return code


def _sft(args: argparse.Namespace) -> None:
    with training_libraries():
        from omar_trainers import cold_start

    cold_start.run(*cold_start.parse(args.arguments))


def _game(args: argparse.Namespace, *policies: str) -> Game:
    return game_for(policies, args.env, parse_settings(args.set))


def _sampling(args: argparse.Namespace) -> Sampling:
    return Sampling(args.temperature, args.temperature_choose)


# --- the options ------------------------------------------------------------


def _parser() -> Parser:
    parser = Parser(
        prog="omar-envs",
        description="Social games for language models: play, compare, judge, replay, train.",
        epilog="Each command explains itself: omar-envs play --help",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"omar-envs {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_play(commands)
    _add_rollout(commands)
    _add_replay(commands)
    _add_eval(commands)
    _add_measure(commands)
    cli_judge.add_options(
        add_command(
            commands,
            "judge",
            cli_judge.run,
            cli_judge.SUMMARY,
            cli_judge.EXAMPLE,
            cli_judge.NOTES,
        )
    )
    _add_sotopia(commands)
    _add_train(commands)
    _add_sft(commands)
    return parser


def _add_play(commands: Commands) -> None:
    play = add_command(
        commands,
        "play",
        _play,
        "Play a seat yourself, in this terminal.",
        "omar-envs play --seat 0 --opponents scripted",
        POLICIES + SETTINGS,
    )
    play.add_argument("--seat", type=natural, default=0, help="your seat, from 0 (default: 0)")
    play.add_argument("--opponents", metavar="POLICY", default="scripted", help=DEFAULT)
    play.add_argument("--seed", type=natural, help="of the game (default: drawn, and told)")
    play.add_argument("--out", type=Path, metavar="FILE", help="keep the episode, as JSON lines")
    add_overwrite(play)
    _add_game(play)


def _add_rollout(commands: Commands) -> None:
    rollout = add_command(
        commands,
        "rollout",
        _rollout,
        "Play games with one policy in every seat, and keep them.",
        "omar-envs rollout --policy scripted --episodes 20 --out episodes.jsonl",
        POLICIES + SETTINGS,
    )
    rollout.add_argument("--policy", default="scripted", help=DEFAULT)
    rollout.add_argument("--episodes", type=positive, default=10, metavar="N", help=DEFAULT)
    rollout.add_argument("--seed", type=natural, default=0, help=DEFAULT)
    rollout.add_argument("--out", type=Path, required=True, metavar="FILE", help="JSON lines")
    add_overwrite(rollout)
    add_batch(rollout)
    add_temperatures(rollout)
    _add_game(rollout)


def _add_replay(commands: Commands) -> None:
    replay = add_command(
        commands,
        "replay",
        _replay,
        "Turn a file of episodes into a page for the browser.",
        "omar-envs replay episodes.jsonl -o replay.html",
        "The page holds everything it needs; it is overwritten if it exists.\n",
    )
    replay.add_argument("file", type=Path, metavar="FILE", help="episodes, as JSON lines")
    replay.add_argument(
        "-o", "--out", type=Path, metavar="FILE", help="default: FILE with the ending .html"
    )


def _add_eval(commands: Commands) -> None:
    evaluate = add_command(
        commands,
        "eval",
        _eval,
        "Compare two policies: every seed is played twice, with the teams swapped.",
        "omar-envs eval --a scripted --b random --games 200",
        POLICIES + SETTINGS,
    )
    evaluate.add_argument("--a", required=True, metavar="POLICY", help="the one in question")
    evaluate.add_argument("--b", required=True, metavar="POLICY", help="the one it is held against")
    evaluate.add_argument(
        "--games", type=positive, default=200, metavar="N", help="even (default: 200)"
    )
    evaluate.add_argument("--seed", type=natural, default=0, help=DEFAULT)
    evaluate.add_argument("--json", type=Path, metavar="FILE", help="keep the whole result")
    add_overwrite(evaluate)
    add_batch(evaluate)
    add_temperatures(evaluate)
    _add_game(evaluate)


def _add_measure(commands: Commands) -> None:
    command = add_command(
        commands,
        "measure",
        _measure,
        "Measure how saved games of Werewolf were played: votes, powers, influence, talk.",
        "omar-envs measure before.jsonl after.jsonl",
        "Prints a Markdown table with one column for each file, 95% intervals over games.\n"
        "What each row means: pydoc omar_envs.werewolf.measures.\n",
    )
    command.add_argument(
        "files", type=Path, nargs="+", metavar="FILE", help="episodes, as JSON lines"
    )


def _add_sotopia(commands: Commands) -> None:
    about = "Social scenarios as SOTOPIA publishes them: import."
    sotopia = commands.add_parser(
        "sotopia",
        help=about,
        description=about,
        epilog=f"example:\n  {cli_sotopia.EXAMPLE}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    importing = add_command(
        sotopia.add_subparsers(metavar="COMMAND", required=True),
        "import",
        _sotopia_import,
        cli_sotopia.SUMMARY,
        cli_sotopia.EXAMPLE,
        cli_sotopia.NOTES,
    )
    cli_sotopia.add_options(importing)
    add_overwrite(importing)


def _add_train(commands: Commands) -> None:
    train = add_command(
        commands,
        "train",
        _train,
        "Train one model by self-play in every seat.",
        "omar-envs train --recipe werewolf_house_demo --output_dir runs/more \\\n"
        "    --model_name_or_path runs/demo/final",
        TRAINING,
    )
    train.usage = "omar-envs train [-h] --recipe NAME [--key VALUE ...]"


def _add_sft(commands: Commands) -> None:
    sft = add_command(
        commands,
        "sft",
        _sft,
        "Let a model learn from the best of recorded games, before it plays itself.",
        "omar-envs sft --model house --episodes games.jsonl --best_of 4 --output_dir runs/start",
        COLD_START,
    )
    sft.usage = "omar-envs sft [-h] --model MODEL --episodes FILE [FILE ...] [--key VALUE ...]"


def _add_game(parser: argparse.ArgumentParser) -> None:
    known = " or ".join(name.removesuffix("_v0") for name in ENVS)
    parser.add_argument(
        "--env",
        choices=sorted({*ENVS, *(name.removesuffix("_v0") for name in ENVS)}),
        metavar="NAME",
        help=f"{known} (default: what the models were trained on, else werewolf)",
    )
    add_set(parser)


if __name__ == "__main__":
    sys.exit(main())
