"""The picture of a replay on the first page: ``python -m docs.site.picture``.

A game of the scripted players, as its page shows it in Chromium.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from omar_envs import ScriptedPolicy, rollout, werewolf_v0
from omar_envs.replay import write_replay
from tests.e2e.chromium import EXECUTABLE, Page

PICTURE = Path(__file__).resolve().parents[1] / "assets" / "replay.png"
PLACE = "#roles=1&step=28"
"""Where in the game the page opens: all roles shown, the first vote counted."""


def draw(folder: Path) -> None:
    """Write the page into a folder, and the picture to where the first page looks for it."""
    replay = folder / "replay.html"
    env = werewolf_v0.raw_env(num_players=8)
    write_replay(replay, [rollout.play(env, ScriptedPolicy(seed=1), seed=5)], title="Werewolf")
    with Page(folder / "profile") as page:
        page.resize(1280, 860)
        page.open(replay, PLACE)
        page.run("new Promise((done) => setTimeout(done, 500))")  # it scrolls smoothly
        page.screenshot(PICTURE)


if __name__ == "__main__":
    if EXECUTABLE is None:
        raise SystemExit("there is no Chromium here")
    with tempfile.TemporaryDirectory() as scratch:
        draw(Path(scratch))
