"""The replay page in a real browser: what each reader sees, and what cannot happen there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from omar_envs import werewolf_v0
from omar_envs.policy import RandomPolicy, ScriptedPolicy
from omar_envs.replay import write_replay
from omar_envs.rollout import play
from omar_envs.types import Episode, Seat
from tests.e2e.chromium import EXECUTABLE, Page
from tests.envs.episode_samples import (
    AGENTS,
    ANA,
    BEN,
    CHLOE,
    DEV,
    NAMES,
    Recorder,
    changed,
    negotiation,
    speech,
    werewolf_game,
)

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(EXECUTABLE is None, reason="needs Chromium: apt-get install chromium"),
]

WORDS = ".entry .words"
EYES = ("public", *AGENTS, "all")
SECRET_ROLES = {agent: f"ROLE-OF-{name}" for agent, name in NAMES.items()}

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


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with Page(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def replay(page: Page, tmp_path: Path) -> Iterator[Page]:
    """The sample games, opened; whatever a test did, the page must have stayed quiet."""
    page.resize(1300, 900)
    page.prefer("light")
    path = tmp_path / "replay.html"
    write_replay(path, [secretive(werewolf_game()), negotiation()], title="Sample games")
    page.open(path)
    yield page
    assert page.reported(*TROUBLE) == []
    assert all(url.startswith("file:") for url in requested(page))


TROUBLE = ("Log.entryAdded", "Runtime.exceptionThrown", "Audits.issueAdded", "Page.frameAttached")


def requested(page: Page) -> list[str]:
    return [event["request"]["url"] for event in page.reported("Network.requestWillBeSent")]


def secretive(game: Episode) -> Episode:
    """The game with roles that no message names."""
    seats = [Seat(seat.agent, seat.name, SECRET_ROLES[seat.agent]) for seat in game.seats]
    return changed(game, seats=tuple(seats), outcome=dict(game.outcome, winner="TEAM-1"))


def show(page: Page, tmp_path: Path, *episodes: Episode, fragment: str = "") -> None:
    path = tmp_path / "page.html"
    write_replay(path, episodes)
    page.open(path, fragment)


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


def test_the_public_view_comes_first(replay: Page) -> None:
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


@pytest.mark.parametrize("style", ["plain", "terse"])
def test_a_played_game_shows_the_same_to_each_seat_as_it_did(
    page: Page, tmp_path: Path, style: str
) -> None:
    env = werewolf_v0.raw_env(num_players=6, prompt_style=style, wolf_chat_rounds=1)
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
        assert (role in markup) == (agent == eyes), role
    for spoiler in ("TEAM-1", "+0.9", "judge", "Outcome in full"):
        assert spoiler not in markup
    replay.click("#roles")
    for role in SECRET_ROLES.values():
        assert role in replay.text("#seats")
    assert "Winner: TEAM-1" in replay.text("#result")
    replay.click("#roles")
    assert "TEAM-1" not in replay.markup()


def test_the_result_has_rewards_by_component(replay: Page) -> None:
    replay.click("#result button")
    assert replay.texts("thead th") == ["Seat", "Total", "invalid", "judge", "outcome"]
    rows = replay.run("[...document.querySelectorAll('tbody tr')].map((row) => row.innerText)")
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
        replay.click("#reasoning")
        text = replay.text()
        for thought, owner in thoughts.items():
            assert (thought in text) == (eyes in (owner, "all"))
        assert "<think>" not in replay.markup() and "&lt;think" not in replay.markup()
        replay.click("#reasoning")


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


def test_another_pair_of_eyes_keeps_the_place(replay: Page) -> None:
    replay.press("Home")
    replay.press("ArrowRight")
    replay.select("#eyes", "all")
    assert replay.texts(WORDS)[-1].startswith("Chloe was killed")
    replay.select("#eyes", "public")
    assert replay.text("#position").startswith("2 /")


def test_search_finds_words_that_these_eyes_see(replay: Page) -> None:
    search = """(() => {
        const box = document.getElementById("search");
        box.value = %r;
        box.dispatchEvent(new Event("input"));
    })()"""
    replay.run(search % "SEER")
    assert replay.texts(WORDS) == ["I am the seer. I looked at Ema, and she is a werewolf."]
    assert replay.text("#note") == "1 of 22 entries match the search."
    replay.select("#eyes", ANA)
    assert len(replay.texts(WORDS)) == 2
    replay.run(search % "")
    assert len(replay.texts(WORDS)) > 20


def test_the_other_game_is_a_click_away(replay: Page) -> None:
    assert replay.texts("#games strong") == ["Game 1", "Game 2"]
    replay.select("#eyes", "all")
    replay.click("#games li:nth-child(2) button")
    assert replay.texts(".name")[:2] == ["Lena", "Omar"]
    assert replay.run("document.getElementById('eyes').value") == "public"
    assert replay.texts(".status") == ["", ""]
    replay.click("#roles")
    assert "Cut short by a limit" in replay.text("#result")


def test_an_address_leads_back_to_the_same_place(replay: Page, tmp_path: Path) -> None:
    replay.select("#eyes", BEN)
    replay.click("#reasoning")
    replay.press("Home")
    replay.press("ArrowRight")
    fragment, before = replay.run("[location.hash, document.body.innerText]")
    replay.open(tmp_path / "replay.html", fragment)
    assert replay.run("document.body.innerText") == before
    for nonsense in ("#eyes=nobody&game=0&step=-1", "#game=99&step=1e9", "#%%%"):
        replay.open(tmp_path / "replay.html", nonsense)
        assert replay.texts(WORDS)


def test_play_goes_on_by_itself_and_pauses(replay: Page) -> None:
    replay.click("#play")
    replay.wait_for("document.getElementById('position').textContent.startsWith('2 /')")
    assert replay.run("document.getElementById('play').getAttribute('aria-label')") == "Pause"
    replay.click("#play")
    assert replay.run("document.getElementById('play').getAttribute('aria-label')") == "Play"


# --- looks ----------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("eyes", ["all", DEV])
def test_every_text_has_contrast(replay: Page, scheme: str, eyes: str) -> None:
    replay.prefer(scheme)
    replay.select("#eyes", eyes)
    replay.click("#roles")
    replay.click("#reasoning")
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
    replay.click("#roles")
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


# --- hostile and odd input ------------------------------------------------

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
    assert page.run("document.querySelectorAll('img, a:not(#skip), script, iframe').length") == 2
    assert page.reported(*TROUBLE, "Page.javascriptDialogOpening") == []
    assert all(url.startswith("file:") for url in requested(page))


def test_the_policy_holds_even_if_markup_got_in(replay: Page) -> None:
    replay.run("""(() => {
        const script = document.createElement("script");
        script.textContent = "window.pwned = 1";
        document.body.append(script);
        const image = document.createElement("img");
        image.setAttribute("onerror", "window.pwned = 2");
        image.src = "https://example.com/pixel.png";
        document.body.append(image);
    })()""")
    replay.run("fetch('https://example.com/').catch(() => 0)")
    assert replay.run("window.pwned") is None
    assert (
        replay.run("fetch('https://example.com/').then(() => 'sent', () => 'blocked')") == "blocked"
    )
    blocked = [entry["entry"]["text"] for entry in replay.reported("Log.entryAdded")]
    assert len(blocked) >= 3 and all("Content Security Policy" in text for text in blocked)
    replay.events.clear()


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
    for number in range(1, len(odd) + 1):
        show(page, tmp_path, *odd, fragment=f"#game={number}&eyes=all&roles=1")
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
