"""The replay page in a real browser: whatever players wrote shows as text and does nothing."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from omar_envs.replay import write_replay
from omar_envs.types import Seat
from tests.e2e.chromium import Page
from tests.e2e.replay_pages import TROUBLE, WORDS, requested, show
from tests.envs.episode_samples import (
    AGENTS,
    ANA,
    BEN,
    NAMES,
    Recorder,
    changed,
    speech,
    werewolf_game,
)

pytestmark = pytest.mark.e2e

HOSTILE = (
    "</script><script>window.pwned = 1</script>"
    "<img src=x onerror='window.pwned = 2'><svg onload=window.pwned=3>"
    "<a href='javascript:pwned=4'>x</a><style>*{display:none}</style>"
    "{{script}} &lt;b&gt; \u202edesrever\u202c \u2066\u2028"
)


def test_hostile_text_shows_as_text_and_runs_nothing(page: Page, tmp_path: Path) -> None:
    names = dict(NAMES, **{ANA: HOSTILE, BEN: "__proto__"})
    game = Recorder(names)
    game.stage(HOSTILE, HOSTILE, HOSTILE)
    game.say(ANA, HOSTILE, (ANA, BEN), f"<think>{HOSTILE}</think>")
    game.silent(ANA, HOSTILE, HOSTILE)
    roles = [Seat(agent, name, HOSTILE, HOSTILE) for agent, name in names.items()]
    episode = game.episode(
        seats=tuple(roles),
        env=HOSTILE,
        outcome={"winner": HOSTILE, HOSTILE: {HOSTILE: [HOSTILE]}, "deaths": [None, {"agent": 2}]},
        rewards={agent: {HOSTILE: 1.0} for agent in names},
    )
    path = tmp_path / "page.html"
    write_replay(path, [episode, episode], title=HOSTILE)
    page.open(path, "#eyes=all&roles=1&reasoning=1")
    assert page.texts(WORDS)[:2] == [HOSTILE, HOSTILE]
    assert page.run("document.title").startswith("</script>")
    page.press("ArrowRight")
    page.run("document.querySelectorAll('details, summary').forEach((n) => n.click())")
    assert page.run("window.pwned") is None
    found = page.run("document.querySelectorAll('img, a:not(#skip), script, iframe').length")
    assert found == 4  # index, two games, code
    assert page.reported(*TROUBLE, "Page.javascriptDialogOpening") == []
    assert all(url.startswith("file:") for url in requested(page))


def test_the_policy_holds_even_if_markup_got_in(page: Page, tmp_path: Path) -> None:
    show(page, tmp_path, speech("Hello."))
    page.run("""(() => {
        const script = document.createElement("script");
        script.textContent = "window.pwned = 1";
        document.body.append(script);
        const image = document.createElement("img");
        image.setAttribute("onerror", "window.pwned = 2");
        image.src = "https://example.com/pixel.png";
        document.body.append(image);
    })()""")
    page.run("fetch('https://example.com/').catch(() => 0)")
    assert page.run("window.pwned") is None
    assert (
        page.run("fetch('https://example.com/').then(() => 'sent', () => 'blocked')") == "blocked"
    )
    blocked = [entry["entry"]["text"] for entry in page.reported("Log.entryAdded")]
    assert len(blocked) >= 3 and all("Content Security Policy" in text for text in blocked)


def test_direction_overrides_stay_inside_their_text(page: Page, tmp_path: Path) -> None:
    override = "\u202eevil"
    show(page, tmp_path, speech(override, names=dict(NAMES, **{ANA: override})))
    styles = page.run("""[...document.querySelectorAll("bdi, .prose")]
        .map((node) => getComputedStyle(node).unicodeBidi)""")
    assert styles and set(styles) <= {"isolate", "plaintext"}
    assert override in page.texts(WORDS)
    options = page.run("[...document.getElementById('eyes').options].map((o) => o.text).join()")
    assert "\u202e" not in options and "evil" in options


def test_a_text_of_a_megabyte_opens_and_unfolds(page: Page, tmp_path: Path) -> None:
    text = "\U0001f43a<b>wolf " * 100_000
    show(page, tmp_path, speech(text))
    assert len(page.text()) < 10_000
    assert "Show all 1,000,000 characters" in page.text(WORDS)
    page.click(".more")
    assert page.run(f"document.querySelector({WORDS!r}).textContent.length") == 1_000_000
    page.resize(320, 700)
    assert page.run("document.documentElement.scrollWidth") <= 320


def test_odd_episodes_open_quietly(page: Page, tmp_path: Path) -> None:
    silent = Recorder()
    silent.stage("discussion", "Day 1")
    silent.stages.append(msgspec.structs.replace(silent.stages[0], turn=5, label=""))
    odd = [
        silent.episode(),
        Recorder({}).episode(seats=(), rewards={}),
        silent.episode(outcome={"deaths": 3, "winner": None, "scores": {ANA: None}}),
        silent.episode(outcome={"deaths": [{"agent": ANA, "day": 1, "cause": "constructor"}]}),
        silent.episode(config={"private_tags": None}, seats=tuple(Seat(a, "") for a in AGENTS)),
        changed(werewolf_game(), stages=tuple(reversed(werewolf_game().stages))),
    ]
    show(page, tmp_path, *odd, fragment="#roles=1")
    for number in range(1, len(odd) + 1):
        page.click(f"#games li:nth-child({number}) button")
        page.select("#eyes", "all")
        page.press("ArrowRight")
        page.press("ArrowLeft")
        page.click("#play")
        page.click("#play")
        assert page.reported(*TROUBLE) == []
        assert "Result" in page.text("#result") or "Winner" in page.text("#result")


def test_a_page_without_games_says_so(page: Page, tmp_path: Path) -> None:
    show(page, tmp_path)
    assert "There is no game in this replay." in page.text()
    assert page.reported(*TROUBLE) == []
