"""Sample games in the trackers that metrics go to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import TrainerCallback
from transformers.integrations import TensorBoardCallback, TrackioCallback, WandbCallback

from omar_trainers.shown.tracked_games import NAME, send_text
from omar_trainers.trainer import OMARTrainer
from tests.trainers.fake_games import play_fake_games, save_tiny_model, tiny_settings


class Writer:
    """Keeps what TensorBoard's writer is given."""

    def __init__(self) -> None:
        self.texts: list[tuple[str, str, int]] = []

    def add_text(self, name: str, text: str, step: int = 0) -> None:
        self.texts.append((name, text, step))


class Board(TensorBoardCallback):
    """The callback, without the library."""

    def __init__(self, writer: Writer | None) -> None:
        self.tb_writer = writer

    def on_train_begin(self, *_: Any, **__: Any) -> None: ...

    def on_log(self, *_: Any, **__: Any) -> None: ...

    def on_train_end(self, *_: Any, **__: Any) -> None: ...


class Library:
    """Stands for the modules wandb and trackio."""

    def __init__(self) -> None:
        self.logged: list[dict[str, Any]] = []

    def log(self, values: dict[str, Any]) -> None:
        self.logged.append(values)

    def Html(self, text: str) -> tuple[str, str]:
        return "html", text

    def Markdown(self, text: str) -> tuple[str, str]:
        return "markdown", text


class Wandb(WandbCallback):
    def __init__(self, library: Library) -> None:
        self._wandb = library

    def __del__(self) -> None: ...


class Trackio(TrackioCallback):
    def __init__(self, library: Library) -> None:
        self._trackio = library


def test_a_run_shows_its_games(tmp_path: Path) -> None:
    writer = Writer()
    callbacks: Sequence[TrainerCallback] = [Board(writer)]
    start = save_tiny_model(tmp_path / "start")
    settings = tiny_settings(tmp_path / "out", log_games=1)
    OMARTrainer(start, settings, play=play_fake_games, callbacks=callbacks).train()
    games = [text for text in writer.texts if text[0] == NAME]
    # As the metrics of the iteration, whose last step comes after its games.
    assert [step for _, _, step in games] == [2, 4]
    written = (tmp_path / "out" / "games" / "iteration-000001.txt").read_text()
    assert [li.removeprefix("    ") for li in games[0][1].splitlines()] == written.splitlines()


def test_text_is_shown_as_it_is_and_elsewhere_nothing_happens() -> None:
    wandb, trackio = Library(), Library()
    callbacks = [Wandb(wandb), Trackio(trackio), Board(None), TrainerCallback()]
    send_text(callbacks, "Ana: <b>```hi", 6)
    (shown,) = wandb.logged
    assert shown == {NAME: ("html", "<pre>Ana: &lt;b&gt;```hi</pre>"), "train/global_step": 6}
    (shown,) = trackio.logged
    assert shown[NAME][1].count("```") == 2 and "Ana: <b>'''hi" in shown[NAME][1]
    send_text([], "x", 1)
