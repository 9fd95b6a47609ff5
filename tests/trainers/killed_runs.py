"""Run as a script: tiny trainings that kill themselves (SIGKILL), and go on.

``python killed_runs.py FOLDER`` writes ``FOLDER/report.json``. It imports once and
forks a child for each training, because imports take longer than the training.

A *moment* is an event of the training that can be counted: a game's reply, a
judgement, an optimizer step, a file opened, moved or removed in the output folder
(as Python's audit hooks tell it). A child kills itself at the n-th. Others run
the command line, and are stopped by the gentler signals.
"""

from __future__ import annotations

import gc
import json
import os
import random
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import TrainerCallback
from transformers.utils import logging

# Run as a script: the tests' package is not on the path.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from omar_trainers import train as train_command
from omar_trainers.generation import GenerationRequest, GenerationResult, TextGenerator
from omar_trainers.house.model import house_config, new_house_model
from omar_trainers.house.tokenizer import house_tokenizer
from omar_trainers.metrics import METRICS_FILE
from omar_trainers.resuming.checkpoints import STATE_FILE, last_checkpoint
from omar_trainers.selfplay import GamePlan, PlayedGames
from omar_trainers.trainer import OMARTrainer
from tests.trainers.fake_games import play_fake_games, save_tiny_model, tiny_settings

ITERATIONS = 3
RUNS: dict[str, dict[str, Any]] = {
    "critic": {"kl_as": "token_reward", "beta": 0.05, "lr_scheduler_type": "linear"},
    "means": {"advantage": "rae", "num_iterations": 2},
}
KINDS = ("play", "reply", "judge", "step", "rollouts", "_incomplete", "checkpoint", "metrics")


class Moments:
    """Counts what happens, and sends this process a signal at one moment.

    Args:
        output: whose files count.
        is_last: told the number and the name of each moment; says at which to send it.
        number: of the signal.
    """

    def __init__(
        self, output: Path, is_last: Callable[[int, str], bool], number: int = signal.SIGKILL
    ) -> None:
        self.names: list[str] = []
        self._output = str(output) + "/"
        self._is_last = is_last
        self._number = number
        sys.addaudithook(self._audit)

    def happen(self, name: str) -> None:
        self.names.append(name)
        if self._is_last(len(self.names) - 1, name):
            os.kill(os.getpid(), self._number)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir"):
            return
        path = arguments[1] if event == "os.rename" else arguments[0]
        if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & os.O_CREAT):
            return
        if str(path).startswith(self._output):
            self.happen(f"{str(path).removeprefix(self._output)} {event}")


class Steps(TrainerCallback):
    """Optimizer steps are moments: before, and after."""

    def __init__(self, moments: Moments) -> None:
        self._moments = moments

    def on_pre_optimizer_step(self, *_: Any, **__: Any) -> None:
        self._moments.happen("step begins")

    def on_optimizer_step(self, *_: Any, **__: Any) -> None:
        self._moments.happen("step ends")


class Watched:
    """A generator whose calls are moments."""

    def __init__(self, inner: TextGenerator, moments: Moments) -> None:
        self._inner = inner
        self._moments = moments

    def generate(self, requests: Sequence[GenerationRequest]) -> list[GenerationResult]:
        self._moments.happen("reply")
        return self._inner.generate(requests)


def train(start: str, output: Path, changes: dict[str, Any], last: int) -> None:
    """One process of a training, killed at moment ``last``; -1 lets it live."""
    moments = Moments(output, lambda number, _: number == last)

    def play(plans: Sequence[GamePlan], generator: TextGenerator) -> PlayedGames:
        moments.happen("play")
        with (output.parent / f"{output.name}.played").open("a") as file:
            file.write(f"{plans[0].seed}\n")
        games = play_fake_games(plans, Watched(generator, moments))
        for _ in games.episodes:
            moments.happen("judge")
        # The world's generators may be used as well: they are part of a checkpoint.
        torch.rand(1)
        return games

    settings = tiny_settings(
        output,
        total_iterations=ITERATIONS,
        save_strategy="steps",
        save_iterations=2,
        save_total_limit=1,
        per_device_train_batch_size=6,
        **changes,
    )
    OMARTrainer(start, settings, play=play, callbacks=[Steps(moments)]).train()
    output.with_suffix(".moments").write_text(json.dumps(moments.names))


def in_child(work: Callable[[], int | None]) -> int:
    """Run in a forked process. -> its exit code, or minus the signal that ended it"""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = work() or 0
        finally:
            sys.stderr.flush()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def results(output: Path) -> dict[str, Any]:
    """What a finished run has learned and written."""
    checkpoint = last_checkpoint(output)
    assert checkpoint is not None
    state = torch.load(checkpoint / STATE_FILE, weights_only=True)
    optimizer = torch.load(checkpoint / "optimizer.pt", weights_only=True)
    lines = [json.loads(line) for line in (output / METRICS_FILE).read_text().splitlines()]
    clocks = ("time", "second", "reused")
    return {
        "weights": load_file(checkpoint / "model.safetensors"),
        "state": state,
        "optimizer": optimizer,
        "generator": torch.load(checkpoint / "rng_state.pth", weights_only=False)["cpu"],
        "games": {path.name: path.read_text() for path in output.glob("games/*.txt")},
        "metrics": [
            {k: v for k, v in line.items() if not any(word in k for word in clocks)}
            for line in lines
        ],
    }


def difference(one: Any, other: Any, where: str = "") -> str:
    """Where two nested values first differ by more than rounding; "" if nowhere."""
    if isinstance(one, torch.Tensor):
        same = one.shape == other.shape and torch.allclose(
            one.double(), other.double(), rtol=1e-6, atol=1e-7
        )
        return "" if same else f"{where} differs"
    if isinstance(one, float) and isinstance(other, float):
        return "" if abs(one - other) <= 1e-6 * (1 + abs(one)) else f"{where}: {one} {other}"
    if isinstance(one, dict):
        if one.keys() != other.keys():
            return f"{where} has other keys: {sorted(map(str, one.keys() ^ other.keys()))}"
        pairs = [(f"{where}.{key}", one[key], other[key]) for key in one]
    elif isinstance(one, list | tuple):
        if len(one) != len(other):
            return f"{where}: {len(one)} and {len(other)} entries"
        pairs = [(f"{where}[{i}]", *pair) for i, pair in enumerate(zip(one, other, strict=True))]
    else:
        return "" if one == other else f"{where}: {one!r} {other!r}"
    return next((text for name, a, b in pairs if (text := difference(a, b, name))), "")


def of_kind(moments: Sequence[str], kind: str) -> list[int]:
    return [i for i, name in enumerate(moments) if name.startswith(kind)]


def kill_and_go_on(start: str, folder: Path, kind: str, number: int, seed: int) -> dict[str, Any]:
    """Kill a run at random moments, let it go on, and compare with the whole run."""
    chosen = random.Random(seed)
    name = ("critic", "means")[number % 2]
    whole = folder / name
    moments = json.loads(whole.with_suffix(".moments").read_text())
    choices = of_kind(moments, kind)
    # The last runs are killed late, when there is a checkpoint already.
    first = chosen.choice(choices if number < len(KINDS) else choices[len(choices) // 2 :])
    # Half of the runs are killed a second time, on their way.
    kills = [first] + [chosen.randrange(len(moments))] * (number % 4 > 1)
    output = folder / f"{number}-{kind}"
    codes = [in_child(lambda: train(start, output, RUNS[name], first))]
    kept = last_checkpoint(output)
    for last in kills[1:]:
        codes.append(in_child(lambda last=last: train(start, output, RUNS[name], last)))
    codes.append(in_child(lambda: train(start, output, RUNS[name], -1)))
    played = (folder / f"{output.name}.played").read_text().split()
    return {
        "kind": kind,
        "moments": [moments[last] for last in kills],
        "codes": codes,
        "kept": "" if kept is None else kept.name,
        "finished": _finished(moments, first),
        "difference": difference(results(whole), results(output)),
        "plays": len(played),
        "plays needed": _plays_needed(moments, first) if len(kills) == 1 else None,
        "left": _listing(output),
        "left by the whole run": _listing(whole),
    }


def _listing(output: Path) -> list[str]:
    return sorted(path.name for path in output.iterdir())


def _finished(moments: Sequence[str], last: int) -> str:
    """The newest checkpoint that had been moved to its place before a moment."""
    moved = [moments[i] for i in of_kind(moments[:last], "checkpoint")]
    return moved[-1].removesuffix(" os.rename") if moved else ""


def _plays_needed(moments: Sequence[str], last: int) -> int:
    """Each iteration once, and once more if the kill came while it was played."""
    plays = of_kind(moments[:last], "play")
    kept = [i for i in of_kind(moments[:last], "rollouts") if moments[i].endswith("os.rename")]
    return ITERATIONS + len(plays) - len(kept)


def command(folder: Path, number: int, times: int) -> dict[str, Any]:
    """Stop the command line by a signal in its first iteration, then let it go on."""
    output = folder / f"signal-{number}-{times}"
    arguments = [
        *("--recipe", "werewolf_house_demo", "--output_dir", str(output)),
        *("--model_name_or_path", str(folder / "house")),
        *("--games_per_iteration", "4", "--per_device_train_batch_size", "5"),
        *("--total_iterations", "2", "--max_new_tokens_speak", "3"),
    ]

    def stopped() -> int:
        with output.with_suffix(".err").open("w") as file:
            os.dup2(file.fileno(), 2)
        left = times

        def is_now(_: int, name: str) -> bool:
            nonlocal left
            left -= name.startswith("rollouts/")
            return times > left >= 0 and name.startswith("rollouts/")

        Moments(output, is_now, number)
        return train_command.main(arguments)

    codes = [in_child(stopped), in_child(lambda: train_command.main(arguments))]
    return {
        "codes": codes,
        "said": output.with_suffix(".err").read_text(),
        "steps": [
            json.loads(line)["step"] for line in (output / METRICS_FILE).read_text().splitlines()
        ],
        "final": (output / train_command.FINAL_FOLDER / "model.safetensors").is_file(),
    }


def save_small_house(folder: Path) -> None:
    """A house model of one small layer."""
    words = {"Ana", "Bruno", "Clara", "Diego", "Elena", "abstain", "nobody", "seer", "werewolf"}
    tokenizer = house_tokenizer(words, max_context=512)
    config = house_config(
        len(tokenizer), pad_token_id=0, end_token_id=3, hidden_size=32, num_layers=1
    )
    new_house_model(config, seed=0).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    logging.disable_progress_bar()
    start = save_tiny_model(folder / "start")
    # Collecting in a child would walk, and so copy, all that was imported.
    gc.freeze()
    for name, changes in RUNS.items():
        assert in_child(lambda name=name, c=changes: train(start, folder / name, c, -1)) == 0
    report = [
        kill_and_go_on(start, folder, kind, number, seed=number)
        for number, kind in enumerate([*KINDS, "_incomplete", "checkpoint"])
    ]
    (folder / "report.json").write_text(json.dumps(report))
    save_small_house(folder / "house")
    signals = {
        "interrupt": command(folder, signal.SIGINT, 1),
        "terminate": command(folder, signal.SIGTERM, 1),
        "terminate twice": command(folder, signal.SIGTERM, 2),
    }
    (folder / "signals.json").write_text(json.dumps(signals))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
