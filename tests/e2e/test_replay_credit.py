"""The replay page in a real browser: tokens, advantages, values, and what judges said."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from omar_envs.replay import EpisodeTokens, SeatTokens, TurnTokens, episode_key
from omar_envs.types import JudgeResult
from tests.e2e.chromium import Page
from tests.e2e.replay_pages import TROUBLE, anew, requested, show
from tests.envs.credit_samples import judged, sound, tokens_of
from tests.envs.episode_samples import (
    AGENTS,
    ANA,
    CHLOE,
    DEV,
    Recorder,
    negotiation,
    werewolf_game,
)

pytestmark = pytest.mark.e2e


@pytest.fixture
def credited(page: Page, credit_sample: Path) -> Page:
    anew(page, credit_sample)
    return page


def test_tokens_wait_for_their_switch_and_are_their_own_seats(credited: Page) -> None:
    assert "hierarchical" not in credited.markup()
    credited.click("#show-credit")
    assert credited.texts(".credit") == [] and "choose a seat's eyes" in credited.text("#credit")
    game = werewolf_game()
    for eyes in (*AGENTS, "all"):
        credited.select("#eyes", eyes)
        acts = [act for act in game.turns if eyes in (act.agent, "all")]
        assert len(credited.texts(".credit")) == len(acts)
        charts = credited.texts(".chart-of figcaption .name")
        assert len(charts) == (4 if eyes == "all" else int(eyes != CHLOE))
    assert credited.reported(*TROUBLE) == []


def test_the_tokens_of_a_turn_are_its_reply_and_shaded_by_their_advantage(credited: Page) -> None:
    credited.select("#eyes", DEV)
    credited.click("#show-credit")
    credited.click("#show-reasoning")
    data = next(seat for seat in tokens_of(werewolf_game()).seats if seat.agent == DEV)
    boxes = credited.run("""[...document.querySelectorAll(".credit")].map((box) =>
        [...box.querySelectorAll(".token")].map((token) => ({
            text: token.textContent, told: token.title, classes: token.className,
            line: getComputedStyle(token).borderBottomStyle,
            ground: getComputedStyle(token).backgroundColor })))""")
    assert len(boxes) == len(data.turns)
    for box, turn in zip(boxes, data.turns, strict=True):
        assert tuple(token["text"] for token in box) == turn.tokens
        for token, advantage in zip(box, turn.advantages, strict=True):
            assert advantage is not None
            side = "plus" if advantage > 0 else "minus" if advantage < 0 else "none"
            assert side in token["classes"]
            # Not by colour alone: the line below has another style for each side.
            assert token["line"] == {"plus": "solid", "minus": "dotted", "none": "solid"}[side]
    strong, weak = boxes[0][-1], boxes[1][-1]
    assert strong["told"].startswith("advantage +0.5, value ")
    assert weak["told"].startswith("advantage +0.25, value ")
    assert strong["ground"] != weak["ground"]


def test_a_turns_advantage_stands_beside_it(credited: Page) -> None:
    credited.select("#eyes", ANA)
    credited.click("#show-credit")
    assert credited.texts(".turn-advantage")[:4] == [
        "▲ turn advantage +0.5",
        "▲ turn advantage +0.25",
        "■ turn advantage 0",
        "▼ turn advantage −0.25",
    ]
    captions = credited.texts(".credit .caption:first-child")
    assert "Turn 1 of 8" in captions[0] and "reward 0" in captions[0]
    assert "not learned from" in captions[1] and "not learned from" not in captions[0]


def test_values_are_a_line_and_turns_are_bars(credited: Page) -> None:
    credited.select("#eyes", ANA)
    credited.click("#show-credit")
    label = credited.run("document.querySelector('.chart').getAttribute('aria-label')")
    assert label.startswith("Turn advantages of Ana: turn 1 +0.5, turn 2 +0.25, turn 3 0, turn 4")
    assert credited.run("document.querySelectorAll('.chart .turn.plus').length") == 2
    assert credited.run("document.querySelectorAll('.chart .turn.minus').length") == 5
    line = credited.run("document.querySelector('.chart .values').getAttribute('d')")
    data = tokens_of(werewolf_game()).seats[0]
    # One stroke for each turn, through every token.
    assert line.count("M") == len(data.turns)
    assert line.count("M") + line.count("L") == sum(len(turn.tokens) for turn in data.turns)
    assert len(credited.texts(".sparks")) > 0


def test_tokens_of_private_reasoning_wait_for_its_switch(credited: Page) -> None:
    credited.select("#eyes", "all")
    credited.click("#show-credit")
    markup = credited.markup()
    assert "sharp" not in markup and "bluff" not in markup
    assert "hold private reasoning" in credited.text()
    # The turn's own advantage is told all the same.
    assert len(credited.texts(".turn-advantage")) == len(werewolf_game().turns)
    credited.click("#show-reasoning")
    assert "sharp" in credited.text(".credit") and "hold private reasoning" not in credited.text()


def test_the_numbers_are_there_for_those_who_see_no_shades(credited: Page) -> None:
    credited.select("#eyes", DEV)
    credited.click("#show-credit")
    assert credited.texts(".numbers") == []
    credited.run("""new Promise((done) => {
        const box = document.querySelectorAll(".credit details")[0];
        box.addEventListener("toggle", done);
        box.open = true;
    })""")
    rows = credited.run("[...document.querySelector('.numbers').rows].map((r) => r.innerText)")
    assert [cell.strip() for cell in rows[0].split("\t")] == ["Token", "Advantage", "Value"]
    assert rows[-1].split("\t")[0] == "<|end|>" and rows[-1].split("\t")[1] == "+0.5"


def test_a_game_without_token_data_says_so(credited: Page) -> None:
    assert not credited.run("document.getElementById('credit-switch').hidden")
    credited.click("#show-credit")
    credited.click("#games li:nth-child(2) button")
    assert "There are no token data for this game." in credited.text("#credit")


def test_a_page_without_token_data_has_no_switch_for_them(replay: Page) -> None:
    assert replay.run("document.getElementById('credit-switch').hidden")


def test_gaps_and_silent_turns_open_quietly(page: Page, tmp_path: Path) -> None:
    game = werewolf_game()
    data = tokens_of(game)
    first = data.seats[0]
    turn = first.turns[0]
    odd = (
        msgspec.structs.replace(turn, tokens=(), advantages=(), values=()),
        msgspec.structs.replace(turn, advantages=(None,) * len(turn.tokens), advantage=None),
        msgspec.structs.replace(turn, values=(), advantages=()),
        msgspec.structs.replace(turn, values=(None,) * len(turn.tokens), reward=None),
        msgspec.structs.replace(turn, tokens=("x\n<b>" * 2000,), advantages=(1e9,), values=(1.0,)),
    )
    seat = msgspec.structs.replace(first, turns=odd)
    data = msgspec.structs.replace(data, seats=(seat,))
    show(page, tmp_path, game, token_data=[data], fragment="#eyes=all&credit=1&reasoning=1")
    assert len(page.texts(".credit")) == len(odd)
    assert "NaN" not in page.markup() and "Infinity" not in page.markup()
    for width in (390, 1300):
        page.resize(width, 800, mobile=width < 500)
        assert page.run("document.documentElement.scrollWidth") <= width
    assert page.reported(*TROUBLE) == []


def test_tokens_of_agents_with_names_that_scripts_know(page: Page, tmp_path: Path) -> None:
    odd = Recorder({"constructor": "One", "toString": "Two", "__proto__": "Three"})
    odd.stage("discussion", "Day 1")
    odd.say("constructor", "Hello.")
    game = odd.episode()
    turn = TurnTokens(("Hello.",), (0.5,), (0.1,), 0.5, 0.0)
    data = EpisodeTokens(1, episode_key(game), "mine", (SeatTokens("constructor", (turn,)),))
    show(page, tmp_path, game, token_data=[data], fragment="#credit=1&eyes=all&roles=1")
    assert page.texts(".chart-of .name") == ["One"]
    for agent in ("toString", "__proto__"):
        page.select("#eyes", agent)
        assert "There are no tokens of this seat." in page.text("#credit")
    assert "NaN" not in page.markup()
    assert page.reported(*TROUBLE) == []


# --- judges -------------------------------------------------------------------


def test_scores_have_their_reasons_once_the_result_is_shown(page: Page, tmp_path: Path) -> None:
    game = negotiation()
    failed = JudgeResult("failed", model="Judge-2B", error="no readable answer")
    lines = [judged(game, failed, "other"), judged(game, failed), judged(game, sound(game))]
    show(page, tmp_path, game, judgements=lines)
    for eyes in ("public", "agent_0", "all"):
        page.select("#eyes", eyes)
        assert "GOAL-OF" not in page.markup() and "Judge-1B" not in page.markup()
    page.click("#show-roles")
    # One for each set-up: what was judged again counts as it was judged last.
    assert page.texts(".judgement h3") == ["Judged by Judge-2B", "Judged by Judge-1B"]
    assert "no readable answer" in page.text(".judgement .invalid")
    assert "not a zero" in page.text(".judgement .invalid")
    rows = page.run("[...document.querySelector('.scores').rows].map((row) => row.innerText)")
    assert [row.split("\t") for row in rows] == [
        ["Dimension", "Lena", "Omar"],
        ["goal", "7", "7"],
        ["secret", "−2.5", "−2.5"],
    ]
    for agent in ("agent_0", "agent_1"):
        assert f"GOAL-OF-{agent}" in page.text("#result")
        assert f"SECRET-OF-{agent}" in page.text("#result")
    assert page.reported(*TROUBLE) == []
    assert all(url.startswith("file:") for url in requested(page))
