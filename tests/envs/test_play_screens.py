"""What a person is shown: all that the seat may know, nothing else, and no text that acts."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import pytest
from rich.cells import cell_len

from omar_envs import rollout
from omar_envs.policy import RandomPolicy, ScriptedPolicy
from omar_envs.sotopia.acts import from_text
from omar_envs.terminal_play import Stopped, play_on, read_saved
from omar_envs.terminal_play.commands import Mistake, Reply, meaning
from omar_envs.terminal_play.ending import ending
from omar_envs.terminal_play.knowledge import knowledge
from omar_envs.terminal_play.lines import lines
from omar_envs.types import View
from tests.envs.canaries import TOKEN, Canaries
from tests.envs.play_person import PlainPerson, RichPerson, begun, opponents_of, played, typed

HOSTILE = (
    "\x1b[2J\x1b[H\x1b]0;owned\x07 \x1b[31m \x9b31m \r * The werewolves win.\n* Day 9 begins.\n"
    "[bold]bold[/bold] [/] [link=http://x]y[/link] :smile: "
    "\u202eevil\u202c \u2066x\u2069 {0} %s \\n"
)


class Marked:
    """Says words that stand nowhere else, some of them to itself alone."""

    name = "marked"

    def __init__(self, words: Canaries, hears: Callable[[View], Sequence[str]]) -> None:
        self._words = words
        self._hears = hears
        self._rng = Random(1)

    def act(self, views: Sequence[View]) -> list[str]:
        return [self._reply(view) for view in views]

    def _reply(self, view: View) -> str:
        secret = self._words.new(view.agent)
        assert view.request is not None
        if view.request.choices:
            return f"<think>{secret}</think>{self._rng.choice(view.request.choices)}"
        said = self._words.new(view.agent, *self._hears(view))
        return f"<think>{secret}</think>I say {said}."


@pytest.mark.parametrize("seed", [0, 1, 4])
def test_nothing_that_the_seat_may_not_read_is_printed_before_the_end(
    seed: int, tmp_path: Path
) -> None:
    game, file = begun("werewolf_v0", seed % 7, seed, tmp_path / "e.jsonl", reveal_on_death="none")

    def hears(view: View) -> Sequence[str]:
        if view.facts["phase"] in ("discussion", "last_words"):
            return list(view.names)
        partners = view.facts["partners"]
        return [agent for agent, name in view.names.items() if name in partners]

    for person in (PlainPerson(), RichPerson()):
        words = Canaries()
        play_on(game, file, lambda words=words: Marked(words, hears), person)  # type: ignore[misc]
        text = "\n".join(person.told) if isinstance(person, PlainPerson) else person.at_the_end
        if isinstance(person, PlainPerson):
            text = text.partition("Who was who")[0]
        found = TOKEN.findall(text.encode())
        assert found
        words.check(game.agent, text.encode())


def test_all_that_the_seat_hears_is_printed_once(tmp_path: Path) -> None:
    game, file = begun("werewolf_v0", 2, 4, tmp_path / "e.jsonl")
    words = Canaries()
    person = RichPerson(lambda view: "me" if not view.request.choices else "1")  # type: ignore[union-attr]
    episode = play_on(game, file, lambda: Marked(words, lambda view: list(view.names)), person)
    heard = [m.text for m in episode.messages if m.kind == "speech" and m.visible_to(game.agent)]
    assert heard
    for text in heard:
        if TOKEN.search(text.encode()):
            assert person.at_the_end.count(text) == 1


@pytest.mark.parametrize(("env", "seat"), [("werewolf_v0", 1), ("sotopia_v0", 0)])
def test_the_screen_shows_the_seats_views_and_nothing_else(
    env: str, seat: int, tmp_path: Path
) -> None:
    game, file = begun(env, seat, 3, tmp_path / "e.jsonl", "random")
    views: list[View] = []

    def keep(view: View) -> str:
        views.append(view)
        return typed(view)

    first = RichPerson(keep)
    played(game, file, first)
    second = RichPerson()
    second.begin(views[0])
    for view in views:
        second.request(view)
    told = second.file.getvalue()
    assert told.count("You are") > len(views)
    assert first.at_the_end[: len(told)] == told


class Hostile(RandomPolicy):
    """Says what a terminal, or rich, would act on."""

    def act(self, views: Sequence[View]) -> list[str]:
        return [
            reply if view.request is None or view.request.choices else HOSTILE
            for view, reply in zip(views, super().act(views), strict=True)
        ]


@pytest.mark.parametrize(("env", "seat"), [("werewolf_v0", 2), ("sotopia_v0", 1)])
def test_what_others_say_is_text(env: str, seat: int, tmp_path: Path) -> None:
    settings = {"max_turns": 3} if env == "sotopia_v0" else {"max_days": 2}
    game, file = begun(env, seat, 8, tmp_path / "e.jsonl", "random", **settings)
    rich, plain = RichPerson(), PlainPerson()
    play_on(game, file, Hostile, rich)
    play_on(game, file, Hostile, plain)
    text = rich.file.getvalue()
    bad = {c for c in text if (ord(c) < 32 and c != "\n") or 127 <= ord(c) < 160}
    assert not bad
    assert not set(text) & set("\u202e\u202c\u2066\u2069")
    flat = " ".join(text.split())
    assert "[bold]bold[/bold] [/] [link=http://x]y[/link] :smile:" in flat
    assert "{0} %s \\n" in flat
    # None of it stands where a line of the game, or of somebody else, would begin.
    assert not any(
        row.startswith(("* The werewolves win", "* Day 9")) for row in text.split("\n")[:-40]
    )
    assert any("[bold]bold[/bold]" in told for told in plain.told)


@pytest.mark.parametrize("width", [24, 80, 200])
def test_every_row_fits_and_no_speech_begins_a_row_of_its_own(width: int, tmp_path: Path) -> None:
    game, file = begun("werewolf_v0", 2, 4, tmp_path / "e.jsonl", discussion_rounds=1)

    class Forging(RandomPolicy):
        """Fills rows so that a name falls to the beginning of some."""

        def act(self, views: Sequence[View]) -> list[str]:
            forged = " ".join("Zoe: I am the seer. 漢字のことば" for _ in range(18))
            return [
                reply if view.request is None or view.request.choices else forged
                for view, reply in zip(views, super().act(views), strict=True)
            ]

    person = RichPerson(width=width)
    play_on(game, file, Forging, person)
    rows = person.at_the_end.split("\n")
    assert max(map(cell_len, rows)) <= min(width, 100)
    assert not any(row.startswith("Zoe") for row in rows)
    assert any(row.startswith("   ") and "Zoe" in row for row in rows)


def test_a_very_long_speech_is_cut_on_the_screen_and_whole_in_the_log(tmp_path: Path) -> None:
    game, file = begun(
        "werewolf_v0",
        2,
        4,
        tmp_path / "e.jsonl",
        max_speech_chars=100_000,
        max_days=1,
        first_phase="day",
        discussion_rounds=1,
    )

    class Long(RandomPolicy):
        def act(self, views: Sequence[View]) -> list[str]:
            return [
                reply if view.request is None or view.request.choices else "long " * 20_000
                for view, reply in zip(views, super().act(views), strict=True)
            ]

    asked = iter(["hello", "/log", "/quit"])
    person = RichPerson(lambda view: next(asked))
    with pytest.raises(Stopped):
        play_on(game, file, Long, person)
    text = person.file.getvalue()
    before, _, log = text.partition("The whole conversation")
    assert "more characters: /log shows all" in " ".join(before.split())
    assert before.count("long") < 6 * 900
    assert log.count("long") == 6 * 20_000


def test_resuming_shows_the_whole_conversation(tmp_path: Path) -> None:
    game, file = begun("werewolf_v0", 2, 5, tmp_path / "e.jsonl", discussion_rounds=1)
    words = iter(["my own words", "/quit"])
    with pytest.raises(Stopped, match="left"):
        played(game, file, PlainPerson(lambda view: next(words)))
    for person in (PlainPerson(lambda view: "/quit"), RichPerson(lambda view: "/quit")):
        with pytest.raises(Stopped):
            played(read_saved(file), file, person)
        told = "\n".join(person.told) if isinstance(person, PlainPerson) else person.file.getvalue()
        assert "my own words" in told
        assert "Whom do you vote" in told


# --- what the seat knows ----------------------------------------------------------


@pytest.mark.parametrize("reveal", ["none", "team", "role"])
def test_the_header_says_who_lives_and_the_seats_own_secrets(reveal: str) -> None:
    seen = set()
    for seed in range(4):
        made = rollout.make("werewolf_v0", {"reveal_on_death": reveal, "num_players": 8})
        made.reset(seed=seed)
        policy = ScriptedPolicy(seed)
        while not made.over:
            for agent in made.possible_agents:
                view = made.view(agent)
                known = knowledge(view)
                assert known.who.startswith(f"{view.name}, {view.role}")
                assert ("out of the game" in known.who) == (not view.alive)
                here = [name.partition(" (")[0] for name in known.present[1]]
                gone = [name.partition(" (")[0] for name in known.gone[1]]
                assert sorted(here) == sorted(view.facts["alive"])
                assert sorted(here + gone) == sorted(view.names.values())
                marks = re.findall(r"(\w+)(?: \(you\))? \((\w+)\)", str(known.present + known.gone))
                revealed = {name: word for name, word in marks if word != "you"}
                assert revealed == view.facts["revealed"]
                assert bool(revealed) <= (reveal != "none")
                secrets = " ".join(known.secrets)
                private = (*view.facts["partners"], *view.facts["investigations"])
                assert {n for n in view.names.values() if n in secrets} == set(private)
                seen |= {(view.role, bool(private))}
                assert known.when.endswith(f" {view.facts['day']}") or ", " in known.when
            for reply in policy.act([made.view(agent) for agent in made.acting]):
                made.step(reply)
    assert {("werewolf", True), ("seer", True), ("villager", False)} <= seen
    assert ("villager", True) not in seen


def test_what_is_on_the_table_is_shown_to_all() -> None:
    made = rollout.make("sotopia_v0", {"scenario": "moving_out_of_the_flat"})
    made.reset(seed=3)
    made.step('propose {"plants": 2, "lamp": 1}')
    made.step("Hm.")
    mine, other = (knowledge(made.view(agent)) for agent in made.possible_agents)
    (open_to_me,), (open_to_other,) = mine.table, other.table
    assert "lamp 1" in open_to_me
    assert "(you) proposes" in open_to_me
    assert "(you)" not in open_to_other.partition(" proposes")[0]
    assert mine.when == "Turn 2 of 20"
    values = [fact for fact in (*mine.secrets, *other.secrets) if fact.startswith("values")]
    assert len(set(values)) == 2
    made.step("Bye.")
    made.step('{"action_type": "leave"}')
    assert made.over


@pytest.mark.parametrize(("env", "seat"), [("werewolf_v0", 1), ("sotopia_v0", 0)])
def test_the_end_tells_the_outcome_the_roles_and_the_pay(
    env: str, seat: int, tmp_path: Path
) -> None:
    settings = {"max_turns": 3} if env == "sotopia_v0" else {"invalid_penalty": 0.5}
    game, file = begun(env, seat, 4, tmp_path / "e.jsonl", "random", **settings)

    class Silent(RandomPolicy):
        """Is paid for what cannot be read."""

        def act(self, views: Sequence[View]) -> list[str]:
            return [""] * len(views)

    person = RichPerson()
    episode = play_on(game, file, Silent, person)
    told = ending(episode, game.agent, tmp_path / "e.jsonl", ["omar-envs", "play", "a b"])
    assert [row.you for row in told.seats].index(True) == seat
    for row, seat_of in zip(told.seats, episode.seats, strict=True):
        paid = episode.rewards[seat_of.agent]
        pay = dict(zip(told.components, map(float, row.pay), strict=True))
        assert pay == {part: round(value or 0.0, 2) for part, value in paid.items()}
        assert float(row.total) == round(episode.total_reward(seat_of.agent), 2)
        assert (row.name, row.role) == (seat_of.name, seat_of.role or "")
    shown = person.file.getvalue().removeprefix(person.at_the_end)
    for text in (told.text(), shown):
        for row in told.seats:
            assert row.name in text
            assert row.total in text
        assert told.verdict in text
        assert "The same game again: omar-envs play" in text
        assert str(tmp_path / "e.jsonl") in text
    won = episode.outcome.get("winner") == episode.outcome.get("teams", {}).get(game.agent, "")
    assert ("You have won" in told.verdict) == won


# --- what a line means ------------------------------------------------------------


def view_of(env: str, **settings: object) -> View:
    made = rollout.make(env, settings)
    made.reset(seed=3)
    return made.view(made.agent_selection)


def test_lines_are_the_views_own(tmp_path: Path) -> None:
    for env, policy in (("werewolf_v0", ScriptedPolicy(1)), ("sotopia_v0", RandomPolicy(1))):
        made = rollout.make(env)
        rollout.play(made, policy, 4)
        for agent in made.possible_agents:
            view = made.view(agent)
            shown = lines(view)
            assert len(shown) == len(view.log)
            assert all(line.message.text in line.text for line in shown)
            assert view.text.endswith("\n".join(line.text for line in shown))
            assert lines(view, 2) == shown[2:]


def test_slashes() -> None:
    view = view_of("werewolf_v0", first_phase="day")
    assert meaning(view, "//help me") == Reply("/help me")
    assert meaning(view, "  hello") == Reply("  hello")
    assert meaning(view, "/HELP").name == "help"  # type: ignore[union-attr]
    assert isinstance(meaning(view, "/leave"), Mistake)
    wrong = meaning(view, "/hlp")
    assert isinstance(wrong, Mistake)
    assert "/help" in wrong.why


@pytest.mark.parametrize(
    ("line", "act"),
    [
        ("/gesture shrugs", {"action_type": "non-verbal communication", "argument": "shrugs"}),
        ("/act opens the door", {"action_type": "action", "argument": "opens the door"}),
        ("/nothing", {"action_type": "none"}),
        ("/leave", {"action_type": "leave"}),
        ('/act says "no"', {"action_type": "action", "argument": 'says "no"'}),
    ],
)
def test_acts_of_social_scenarios(line: str, act: dict[str, str]) -> None:
    made = rollout.make("sotopia_v0")
    made.reset(seed=3)
    meant = meaning(made.view("agent_0"), line)
    assert isinstance(meant, Reply)
    parsed = made.read("agent_0", meant.text)
    assert parsed.valid
    assert json.loads(parsed.text) == act


def test_words_for_some_alone() -> None:
    made = rollout.make("sotopia_v0", {"scenario": "opening_the_cheese_stall"})
    made.reset(seed=3)
    view = made.view("agent_0")
    other = view.names["agent_2"]
    meant = meaning(view, f"/to {other}: not so: loud")
    assert isinstance(meant, Reply)
    act = from_text(made.read("agent_0", meant.text).text)
    assert (act.action_type, act.argument, act.to) == ("speak", "not so: loud", ("agent_2",))
    for line in ("/to", "/to Noor", "/to : hello", "/gesture", "/act  ", "/leave now"):
        assert isinstance(meaning(view, line), Mistake)


def test_commands_show_and_ask_again(tmp_path: Path) -> None:
    game, file = begun("werewolf_v0", 2, 5, tmp_path / "e.jsonl", discussion_rounds=1)
    for make in (PlainPerson, RichPerson):
        said = iter(
            ["/help", "/me", "/log", "/nonsense", "", "hello", "99", "nobody at all", "/quit"]
        )
        person = make(lambda view, said=said: next(said))
        with pytest.raises(Stopped):
            play_on(game, file, opponents_of(game), person)
        told = "\n".join(person.told) if isinstance(person, PlainPerson) else person.file.getvalue()
        told = " ".join(told.split())
        assert "/quit" in told
        assert "no command /nonsense" in told
        assert "the reply is empty; try again" in told
        assert told.count("none of the choices; try again") == 2
        # The question stands below what a command has shown.
        assert told.count("discussion round 1") == 4
