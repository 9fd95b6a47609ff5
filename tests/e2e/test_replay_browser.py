"""The replay page in a real browser: what each reader sees, step by step."""

from __future__ import annotations

from pathlib import Path

import pytest

from omar_envs import werewolf_v0
from omar_envs.policy import RandomPolicy, ScriptedPolicy
from omar_envs.rollout import play
from tests.e2e.chromium import Page
from tests.e2e.replay_pages import EYES, SECRET_ROLES, TROUBLE, WORDS, search, show
from tests.envs.episode_samples import (
    AGENTS,
    ANA,
    BEN,
    CHLOE,
    DEV,
    Recorder,
    speech,
    werewolf_game,
)

pytestmark = pytest.mark.e2e


# --- whose eyes -----------------------------------------------------------


@pytest.mark.parametrize("eyes", EYES)
def test_eyes_see_exactly_what_was_meant_for_them(replay: Page, eyes: str) -> None:
    replay.select("#eyes", eyes)
    game = werewolf_game()
    if eyes == "public":
        expected = [m.text for m in game.messages if m.audience is None]
    elif eyes == "all":
        expected = [m.text for m in game.messages]
    else:
        expected = [m.text for m in game.messages if m.visible_to(eyes)]
    spoken = [text for text in replay.texts(WORDS) if text != "says nothing."]
    assert spoken == expected
    markup = replay.markup()
    for message in game.messages:
        if message.text not in expected:
            assert message.text not in markup


def test_the_public_view_comes_first(replay: Page, sample: Path) -> None:
    replay.open(sample)
    assert replay.run("document.getElementById('eyes').value") == "public"
    assert "Ben talks like a seer" not in replay.markup()
    assert "Poor Chloe" in replay.text()


def test_private_messages_say_who_could_read_them(replay: Page) -> None:
    assert replay.texts(".private") == []
    replay.select("#eyes", BEN)
    assert set(replay.texts(".private")) == {"Only Ben"}
    replay.select("#eyes", ANA)
    assert set(replay.texts(".private")) == {"Only Ana and Ema"}


def test_a_seats_card_lends_its_eyes(replay: Page) -> None:
    replay.click(f".seat[data-agent={BEN}]")
    assert "investigates Ema." in replay.texts(WORDS)
    replay.click(f".seat[data-agent={BEN}]")
    assert "investigates Ema." not in replay.texts(WORDS)


def test_a_terse_game_shows_the_same_to_each_seat_as_it_did(page: Page, tmp_path: Path) -> None:
    env = werewolf_v0.raw_env(num_players=6, prompt_style="terse", wolf_chat_rounds=1)
    episode = play(env, ScriptedPolicy(seed=1), seed=5)
    show(page, tmp_path, episode)
    for seat in episode.seats:
        page.select("#eyes", seat.agent)
        assert page.texts(WORDS) == [
            message.text for message in episode.messages if message.visible_to(seat.agent)
        ]
        assert len(page.texts(".seat.dead")) == len(episode.outcome["deaths"])
    assert page.reported(*TROUBLE) == []


def test_deaths_of_every_kind_are_marked_and_none_tells_of_poison(
    page: Page, tmp_path: Path
) -> None:
    env = werewolf_v0.raw_env(
        num_players=13,
        roles={"werewolf": 3, "witch": 1, "hunter": 2, "idiot": 1},
        last_words="all",
        vote_tie="revote",
        reveal_on_death="none",
    )
    words = {"killed": "killed", "poisoned": "killed", "voted_out": "voted out", "shot": "shot"}
    games = (play(env, RandomPolicy(seed), seed=seed) for seed in range(50))
    episode = next(
        game for game in games if {d["cause"] for d in game.outcome["deaths"]} == set(words)
    )
    show(page, tmp_path, episode)
    how = {death["agent"]: words[death["cause"]] for death in episode.outcome["deaths"]}
    told = [status.partition(",")[0] for status in page.texts(".status")]
    assert told == [how.get(seat.agent, "alive") for seat in episode.seats]
    assert "poison" not in page.text()
    assert page.reported(*TROUBLE) == []


# --- what is hidden until asked for ---------------------------------------


@pytest.mark.parametrize("eyes", EYES)
def test_roles_rewards_and_result_wait_to_be_asked_for(replay: Page, eyes: str) -> None:
    replay.select("#eyes", eyes)
    markup = replay.markup()
    for agent, role in SECRET_ROLES.items():
        assert (role in markup) == (eyes in (agent, "all")), role
    # Nobody at the table knows what plays the others.
    assert ("POLICY" in markup) == (eyes == "all")
    for spoiler in ("TEAM-1", "+0.9", "n/d", "Outcome in full"):
        assert spoiler not in markup
    replay.click("#show-roles")
    for role in SECRET_ROLES.values():
        assert role in replay.text("#seats")
    assert "Winner: TEAM-1" in replay.text("#result")
    replay.click("#show-roles")
    assert "TEAM-1" not in replay.markup()


def test_the_result_has_rewards_by_component(replay: Page) -> None:
    replay.click("#result button")
    assert replay.texts(".rewards thead th") == ["Seat", "Total", "invalid", "judge", "outcome"]
    rows = replay.run(
        "[...document.querySelectorAll('.rewards tbody tr')].map((row) => row.innerText)"
    )
    assert [row.split() for row in rows][2:4] == [
        ["Chloe", "+0.9", "0", "n/d", "+0.9"],
        ["Dev", "+0.8", "−0.2", "n/d", "+1"],
    ]
    replay.click("#result summary")
    assert "Chloe" in replay.text("#result details") and CHLOE not in replay.text("#result")


def test_reasoning_shows_to_its_own_seat_behind_a_switch(replay: Page) -> None:
    thoughts = {"Ben is sharp.": ANA, "Ema is quiet.": BEN, "I must not talk": DEV}
    for eyes in EYES:
        replay.select("#eyes", eyes)
        assert not [thought for thought in thoughts if thought in replay.markup()]
        replay.click("#show-reasoning")
        text = replay.text()
        for thought, owner in thoughts.items():
            assert (thought in text) == (eyes in (owner, "all"))
        assert "<think>" not in replay.markup() and "&lt;think" not in replay.markup()
        replay.click("#show-reasoning")


def test_invalid_acts_show_reason_and_reply_to_their_own_seat(replay: Page) -> None:
    for eyes, seen in (("public", 0), (ANA, 0), (DEV, 2), ("all", 2)):
        replay.select("#eyes", eyes)
        boxes = replay.texts(".invalid")
        assert len(boxes) == seen
        if seen:
            assert "there is nothing to read" in boxes[0]
            assert "Nothing beside private reasoning" in boxes[0]
            assert "names more than one choice" in boxes[1]
            assert "It counted as: Ema." in boxes[1] and "Ana or Ema, who knows?" in boxes[1]


# --- the course of the game -----------------------------------------------


def test_nights_and_days_are_chapters(replay: Page) -> None:
    assert replay.texts(".chapter h2") == ["Night 1", "Day 1", "Night 2", "Day 2"]
    assert replay.texts(".night h2") == ["Night 1", "Night 2"]
    assert replay.texts(".stage h3")[:4] == ["wolf chat", "night", "discussion", "vote"]


def test_votes_are_counted(replay: Page) -> None:
    assert replay.texts(".tally li") == [
        "2votes for Ben — Ana and Ema",
        "2votes for Ema — Ben and Dev",
        "2votes for Ana — Ben and Dev",
        "1votes for Ben — Ana",
    ]


FIRST_VOTE = ["Ana → Ben", "Ben → Ema", "Dev → Ema", "Ema → Ben"]


def test_votes_stand_in_a_table_and_as_arrows(replay: Page) -> None:
    rows = replay.run(
        "[...document.querySelector('.votes').tBodies[0].rows].map((row) => row.innerText)"
    )
    assert [" → ".join(row.split()) for row in rows] == FIRST_VOTE
    label = replay.run("document.querySelector('.arrows').getAttribute('aria-label')")
    assert label == f"Votes: {'; '.join(FIRST_VOTE)}"
    assert replay.run("document.querySelectorAll('.arrows')[0].querySelectorAll('.arrow').length")
    # An arrow's point lies by the face of who was voted for.
    gaps = replay.run("""(() => {
        const drawing = document.querySelector(".arrows");
        const middle = (node) => {
            const { x, y, width, height } = node.getBoundingClientRect();
            return [x + width / 2, y + height / 2];
        };
        const faces = new Map([...drawing.querySelectorAll(".label")].map((label) =>
            [label.textContent, middle(label.parentNode.querySelector(".body"))]));
        const votes = drawing.getAttribute("aria-label").slice(7).split("; ");
        return [...drawing.querySelectorAll(".arrow polygon")].map((point, index) => {
            const [x, y] = middle(point);
            const to = faces.get(votes[index].split(" → ")[1]);
            return Math.min(...[...faces.values()].map((at) => Math.hypot(at[0] - x, at[1] - y)))
                === Math.hypot(to[0] - x, to[1] - y);
        });
    })()""")
    assert gaps == [True] * 4


def test_the_votes_so_far_are_those_of_the_timeline(replay: Page) -> None:
    assert replay.texts(".so-far thead th") == ["Seat", "Day 1", "Day 2"]
    replay.press("Home")
    assert replay.texts(".so-far") == []
    words = replay.run(f"[...document.querySelectorAll('{WORDS}')].map((n) => n.textContent)")
    for _ in range(words.index("votes for Ben.") + 3):
        replay.press("ArrowRight")
    assert replay.texts(".so-far thead th") == ["Seat", "Day 1"]


def test_an_abstention_has_no_arrow(page: Page, tmp_path: Path) -> None:
    game = Recorder()
    game.stage("vote", "Day 1")
    game.choose(ANA, "votes for", BEN)
    game.choose(BEN, "votes for", ANA)
    game.choose(DEV, "abstains, as", DEV)
    show(page, tmp_path, game.episode())
    assert page.run("document.querySelectorAll('.arrow').length") == 2
    assert "Dev → abstains, as Dev." in page.run(
        "document.querySelector('.arrows').getAttribute('aria-label')"
    )


def test_deaths_are_marked_when_they_are_announced(replay: Page) -> None:
    assert replay.texts(".death .words") == [
        "Chloe was killed in the night. Chloe was a villager.",
        "Ema was voted out. Ema was a werewolf.",
        "Ana was voted out. Ana was a werewolf.",
    ]
    assert replay.texts(".status") == [
        "voted out, Day 2", "alive", "killed, Night 1", "alive", "voted out, Day 1",
    ]  # fmt: skip
    replay.press("ArrowRight")
    assert replay.texts(".status") == ["alive"] * 5
    replay.press("ArrowRight")
    assert replay.texts(".status")[CHLOE_SEAT] == "killed, Night 1"


CHLOE_SEAT = AGENTS.index(CHLOE)


def test_arrow_keys_step_through_the_messages(replay: Page) -> None:
    everything = replay.texts(WORDS)
    for count in (1, 2, 3):
        replay.press("ArrowRight")
        assert replay.texts(WORDS) == everything[:count]
        assert replay.texts("[aria-current=step] .words") == everything[count - 1 : count]
    replay.press("ArrowLeft")
    assert replay.texts(WORDS) == everything[:2]
    assert replay.text("#position") == f"2 / {len(everything)}"
    assert replay.run("document.getElementById('scrubber').value") == "2"
    assert everything[1][:40] in replay.run("document.getElementById('live').textContent")
    replay.press("End")
    assert replay.texts(WORDS) == everything
    replay.press("ArrowLeft")
    assert replay.texts(WORDS) == everything[:-1]
    replay.press("Home")
    assert replay.texts(WORDS) == everything[:1]


def test_space_plays_and_a_question_mark_tells_of_the_keys(replay: Page) -> None:
    replay.press("Home")
    replay.press(" ")
    assert replay.run("document.getElementById('play').getAttribute('aria-label')") == "Pause"
    replay.press(" ")
    assert replay.run("document.getElementById('play').getAttribute('aria-label')") == "Play"
    replay.press("?", shift=True)
    assert replay.run("document.getElementById('help').open")
    assert "play, pause" in replay.text("#help")
    replay.press("ArrowRight")
    assert replay.text("#position").startswith("1 /")
    replay.click("#help-close")
    assert not replay.run("document.getElementById('help').open")


def test_the_track_has_a_part_for_each_chapter_and_a_mark_for_each_death(replay: Page) -> None:
    assert replay.texts(".part") == ["Night 1", "Day 1", "Night 2", "Day 2"]
    assert len(replay.texts(".fallen")) == 3
    replay.click(".part:nth-child(3)")
    assert replay.texts("[aria-current=step] .words") == ["Night 2 begins."]
    # What has not happened yet is not marked.
    assert len(replay.texts(".fallen")) == 2


def test_a_role_is_known_from_where_the_game_tells_it(page: Page, tmp_path: Path) -> None:
    show(page, tmp_path, werewolf_game())
    known = """[...document.querySelectorAll(".known-role")].map((node) => node.textContent)"""
    assert page.run(known) == ["werewolf", "", "villager", "", "werewolf"]
    page.press("Home")
    assert page.run(known) == [""] * 5
    page.press("ArrowRight")
    assert page.run(known) == ["", "", "villager", "", ""]
    page.select("#eyes", BEN)
    assert page.run(known) == ["", "seer", "villager", "", ""]


def test_the_focus_stays_where_it_was(replay: Page) -> None:
    replay.run(f"document.querySelector('.seat[data-agent={BEN}]').focus()")
    replay.press("Enter")
    replay.click(f".seat[data-agent={BEN}]")
    assert replay.run("document.activeElement.dataset.agent") == BEN


def test_the_scrubber_steps_too_and_takes_its_own_keys(replay: Page) -> None:
    replay.run("""(() => {
        const scrubber = document.getElementById("scrubber");
        scrubber.value = 5;
        scrubber.dispatchEvent(new Event("input"));
        scrubber.focus();
    })()""")
    assert len(replay.texts(WORDS)) == 5
    replay.press("ArrowRight")
    assert len(replay.texts(WORDS)) == 6


def test_other_keys_work_from_the_scrubber_and_from_keyboards_that_need_shift(
    replay: Page,
) -> None:
    replay.run("document.getElementById('scrubber').focus()")
    replay.press(" ")
    assert replay.run("document.getElementById('play').getAttribute('aria-label')") == "Pause"
    replay.press(" ")
    replay.press("End")
    replay.press("/", shift=True)
    assert replay.run("document.activeElement.id") == "search"


def test_another_pair_of_eyes_keeps_the_place(replay: Page) -> None:
    replay.press("Home")
    replay.press("ArrowRight")
    replay.select("#eyes", "all")
    assert replay.texts(WORDS)[-1].startswith("Chloe was killed")
    replay.select("#eyes", "public")
    assert replay.text("#position").startswith("2 /")


def current_hit(page: Page) -> tuple[str, str]:
    """What is told of the hits, and the words of the entry of the current one."""
    return page.text("#hits"), "".join(page.texts(".found .words"))


def test_search_counts_hits_and_steps_through_them(replay: Page) -> None:
    search(replay, "SEER")
    assert replay.text("#hits") == "1 hit"
    # Nothing is hidden for it.
    assert len(replay.texts(WORDS)) == 22
    replay.select("#eyes", ANA)
    # Once in the wolves' chat.
    assert replay.text("#hits") == "2 hits"
    told = []
    for key in ("#hit-next", "#hit-next", "#hit-next", "#hit-back"):
        replay.click(key)
        told.append(current_hit(replay))
    assert told[0] == ("1 of 2", "Ben talks like a seer. Him first?")
    assert told[1][0] == "2 of 2" and told[1][1].startswith("I am the seer.")
    assert told[2] == told[0] and told[3] == told[1]
    search(replay, "no such words")
    assert replay.text("#hits") == "no hits"
    assert replay.run("document.getElementById('hit-next').disabled")


def test_search_finds_names_and_nothing_beyond_the_current_step(replay: Page) -> None:
    search(replay, "chloe")
    everything = replay.text("#hits")
    assert everything == "3 hits"  # killed, was a villager, "Poor Chloe!"
    replay.press("Home")
    assert replay.text("#hits") == "no hits"
    replay.press("ArrowRight")
    assert replay.text("#hits") == "2 hits"
    # All that Dev says, by the name above it.
    search(replay, "dev")
    replay.press("End")
    marked = replay.run("[...CSS.highlights.get('hits')].map((range) => range.toString())")
    assert set(marked) == {"Dev"} and len(marked) == replay.run(
        """[...document.querySelectorAll(".entry .name, .entry .words")]
            .reduce((sum, node) => sum + node.textContent.split("Dev").length - 1, 0)"""
    )


def test_search_by_keys(replay: Page) -> None:
    replay.press("/")
    assert replay.run("document.activeElement.id") == "search"
    search(replay, "ana")
    replay.press("Enter")
    replay.press("Enter")
    assert replay.text("#hits").startswith("2 of ")
    replay.press("Enter", shift=True)
    assert replay.text("#hits").startswith("1 of ")
    replay.press("Escape")
    assert replay.text("#hits") == ""
    assert replay.run("document.getElementById('search').value") == ""


def test_search_unfolds_a_long_text_where_the_words_are(page: Page, tmp_path: Path) -> None:
    show(page, tmp_path, speech("word " * 2000 + "needle " + "word " * 2000))
    assert "needle" not in page.texts(WORDS)[0]
    search(page, "needle")
    assert page.text("#hits") == "1 hit"
    assert "needle" in page.texts(WORDS)[0]


def test_the_other_game_is_a_click_away(replay: Page) -> None:
    assert replay.texts("#games strong") == ["Game 1", "Game 2"]
    replay.select("#eyes", "all")
    replay.click("#games li:nth-child(2) button")
    assert replay.texts(".name")[:2] == ["Lena", "Omar"]
    assert replay.run("document.getElementById('eyes').value") == "public"
    assert replay.texts(".status") == ["", ""]
    replay.click("#show-roles")
    assert "Cut short by a limit" in replay.text("#result")


def test_an_address_leads_back_to_the_same_place(replay: Page, sample: Path) -> None:
    replay.select("#eyes", BEN)
    replay.click("#show-reasoning")
    replay.press("Home")
    replay.press("ArrowRight")
    replay.wait_for("location.hash.includes('step=2')")
    fragment, before = replay.run("[location.hash, document.body.innerText]")
    replay.open(sample, fragment)
    assert replay.run("document.body.innerText") == before
    for nonsense in ("#eyes=nobody&game=0&step=-1", "#game=99&step=1e9", "#%%%"):
        replay.open(sample, nonsense)
        assert replay.texts(WORDS)


def test_play_goes_on_by_itself_and_pauses(replay: Page) -> None:
    replay.click("#play")
    replay.wait_for("document.getElementById('position').textContent.startsWith('2 /')")
    assert replay.run("document.getElementById('play').getAttribute('aria-label')") == "Pause"
    replay.click("#play")
    assert replay.run("document.getElementById('play').getAttribute('aria-label')") == "Play"
