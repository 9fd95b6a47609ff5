"""Sample games as text where the metrics go (``report_to``), if that can show text."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from transformers import TrainerCallback
from transformers.integrations import TensorBoardCallback, TrackioCallback, WandbCallback

NAME = "games"
"""Under which the text stands in a tracker."""


def send_text(callbacks: Iterable[TrainerCallback], text: str, step: int) -> None:
    """Show text in every tracker that is on: TensorBoard, Weights & Biases, Trackio.

    Args:
        callbacks: of the trainer, while it trains; others are passed over.
        text: several lines.
        step: optimizer step to which it belongs.
    """
    for callback in callbacks:
        if isinstance(callback, TensorBoardCallback) and callback.tb_writer is not None:
            # TensorBoard reads Markdown: indented text stays as it is.
            lines = "\n".join(f"    {line}" for line in text.splitlines())
            callback.tb_writer.add_text(NAME, lines, step)
        elif isinstance(callback, WandbCallback):
            shown = callback._wandb.Html(f"<pre>{escape(text)}</pre>")
            callback._wandb.log({NAME: shown, "train/global_step": step})
        elif isinstance(callback, TrackioCallback):
            shown = callback._trackio.Markdown(f"```\n{text.replace('```', chr(39) * 3)}\n```")
            callback._trackio.log({NAME: shown, "train/global_step": step})
