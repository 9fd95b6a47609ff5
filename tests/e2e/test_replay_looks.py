"""The replay page in a real browser: light and dark, narrow and wide, on paper, by keyboard."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.chromium import Page
from tests.e2e.replay_pages import show
from tests.envs.episode_samples import DEV, Recorder

pytestmark = pytest.mark.e2e

CONTRASTS = """(() => {
    const paint = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const channels = (color) => {
        paint.clearRect(0, 0, 1, 1);
        paint.fillStyle = color;
        paint.fillRect(0, 0, 1, 1);
        return [...paint.getImageData(0, 0, 1, 1).data];
    };
    const luminance = (color) => channels(color).slice(0, 3)
        .map((c) => c / 255)
        .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
        .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
    const ground = (node) => {
        const color = getComputedStyle(node).backgroundColor;
        if (channels(color)[3] === 255 || !node.parentElement) return color;
        return ground(node.parentElement);
    };
    const texts = [...document.querySelectorAll("body *")].filter((node) =>
        node.checkVisibility() && !node.closest(".unseen, .skip, option, script")
        && [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim()));
    return texts.map((node) => {
        const [one, other] = [getComputedStyle(node).color, ground(node)].map(luminance);
        const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
        return [ratio, `${node.tagName}.${node.className}: ${node.textContent.slice(0, 40)}`];
    });
})()"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("eyes", ["all", DEV])
def test_every_text_has_contrast(replay: Page, scheme: str, eyes: str) -> None:
    replay.prefer(scheme)
    replay.select("#eyes", eyes)
    replay.click("#show-roles")
    replay.click("#show-reasoning")
    pairs = replay.run(CONTRASTS)
    assert len(pairs) > 50
    assert [text for ratio, text in pairs if ratio < 4.5] == []


def test_the_theme_follows_the_system_unless_told(replay: Page) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    light = replay.run(ground)
    replay.prefer("dark")
    dark = replay.run(ground)
    assert dark != light
    replay.select("#theme", "light")
    assert replay.run(ground) == light


@pytest.mark.parametrize("width", [320, 390, 800, 1100, 1920])
def test_nothing_runs_off_the_side(replay: Page, width: int) -> None:
    replay.resize(width, 800, mobile=width < 500)
    replay.select("#eyes", "all")
    replay.click("#show-roles")
    assert replay.run("document.documentElement.scrollWidth") <= width
    right = replay.run("""[...document.querySelectorAll(".bubble, .line")]
        .map((node) => node.getBoundingClientRect().right)""")
    assert max(right) <= width


def test_every_control_has_a_name(replay: Page) -> None:
    nameless = replay.run("""[...document.querySelectorAll("button, input, select")]
        .filter((node) => node.checkVisibility())
        .filter((node) => !(node.getAttribute("aria-label") || node.textContent.trim()
            || node.labels?.[0]?.textContent.trim()))
        .map((node) => node.outerHTML)""")
    assert nameless == []


def test_seats_differ_by_more_than_colour(page: Page, tmp_path: Path) -> None:
    agents = [f"player_{number}" for number in range(20)]
    game = Recorder({agent: f"Name {number}" for number, agent in enumerate(agents)})
    game.stage("discussion", "Day 1")
    show(page, tmp_path, game.episode())
    faces = page.run("""[...document.querySelectorAll(".seat .face")].map((face) =>
        [face.querySelector(".body").getAttribute("d"),
         face.querySelector(".ring")?.getAttribute("stroke-dasharray")].join())""")
    assert len(faces) == len(set(faces)) == 20


def test_paper_has_dark_ink_no_controls_and_the_whole_transcript(replay: Page) -> None:
    words = replay.texts(".entry .words")
    try:
        replay.prefer("dark", "print")
        assert replay.texts(".entry .words") == words
        for control in ("#scrubber", "#eyes", "#search", "#games", "#play"):
            assert not replay.run(f"document.querySelector('{control}').checkVisibility()")
        assert replay.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        night = replay.run("""getComputedStyle(document.querySelector(".night")).colorScheme""")
        assert night == "light"
        assert [text for ratio, text in replay.run(CONTRASTS) if ratio < 4.5] == []
    finally:
        replay.prefer("light")


def test_everything_can_be_reached_by_the_tab_key(replay: Page, sample: Path) -> None:
    replay.open(sample)
    reached = set()
    for _ in range(60):
        replay.press("Tab")
        reached.add(
            replay.run("""(() => {
                const at = document.activeElement;
                return at.id || at.dataset.keep || at.className || at.tagName;
            })()""")
        )
    for control in ("skip", "eyes", "show-roles", "show-reasoning", "search", "theme", "keys"):
        assert control in reached
    assert {"seat-player_0", "game-1", "reveal", "play", "scrubber", "part night"} <= reached


def test_ids_are_unique_and_labels_lead_somewhere(replay: Page) -> None:
    replay.select("#eyes", "all")
    replay.click("#show-roles")
    ids = replay.run("[...document.querySelectorAll('[id]')].map((node) => node.id)")
    assert len(ids) == len(set(ids))
    dangling = replay.run("""[...document.querySelectorAll("[for], [aria-labelledby]")]
        .map((node) => node.getAttribute("for") ?? node.getAttribute("aria-labelledby"))
        .filter((id) => !document.getElementById(id))""")
    assert dangling == []
