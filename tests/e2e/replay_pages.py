"""What the tests of the replay page share: sample pages, and how to look at one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omar_envs.replay import write_replay
from omar_envs.types import Episode, Seat
from tests.e2e.chromium import Page
from tests.envs.episode_samples import AGENTS, NAMES, changed

WORDS = ".entry .words"
EYES = ("public", *AGENTS, "all")
SECRET_ROLES = {agent: f"ROLE-OF-{name}" for agent, name in NAMES.items()}
TROUBLE = ("Log.entryAdded", "Runtime.exceptionThrown", "Audits.issueAdded", "Page.frameAttached")


def requested(page: Page) -> list[str]:
    """Addresses of everything that the browser has asked for."""
    return [event["request"]["url"] for event in page.reported("Network.requestWillBeSent")]


def secretive(game: Episode) -> Episode:
    """The game with roles that no message names."""
    seats = [Seat(seat.agent, seat.name, SECRET_ROLES[seat.agent], "POLICY") for seat in game.seats]
    return changed(game, seats=tuple(seats), outcome=dict(game.outcome, winner="TEAM-1"))


AS_AT_FIRST = """new Promise((done) => {
    const byId = (id) => document.getElementById(id);
    if (byId("play").getAttribute("aria-label") === "Pause") byId("play").click();
    byId("help").close();
    byId("search").value = "";
    byId("search").dispatchEvent(new Event("input"));
    document.activeElement.blur();
    addEventListener("hashchange", () => done(scrollTo(0, 0)), { once: true });
    location.hash = `again=${Math.random()}`;
})"""


def anew(page: Page, path: Path) -> None:
    """A page as at first: opened, or taken back to its beginning if it is open."""
    page.resize(1300, 900)
    page.prefer("light")
    if page.run("location.pathname") == path.as_posix():
        page.run(AS_AT_FIRST)
        page.events.clear()
    else:
        page.open(path)


def show(page: Page, tmp_path: Path, *episodes: Episode, fragment: str = "", **beside: Any) -> None:
    """Write a page of these episodes and open it; ``beside`` goes to ``write_replay``."""
    path = tmp_path / "page.html"
    write_replay(path, episodes, **beside)
    page.open(path, fragment)


def search(page: Page, query: str) -> None:
    """Type into the search box."""
    page.run(f"""(() => {{
        const box = document.getElementById("search");
        box.value = {query!r};
        box.dispatchEvent(new Event("input"));
    }})()""")
