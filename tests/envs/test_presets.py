"""Presets: what they claim of their games holds in ours, and the page is what they claim."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omar_envs import rollout, werewolf_v0
from omar_envs.errors import ConfigError
from omar_envs.policy import RandomPolicy
from omar_envs.types import Episode, Turn, View
from omar_envs.werewolf.presets import PRESETS, page, with_preset
from tests.envs.games import act_together, finish, play_until, started, step, with_role

PAGE = Path(__file__).resolve().parents[2] / "docs" / "presets.md"
NAMES = list(PRESETS)
TALK = {"night", "discussion", "vote"}
PHASES = {
    "classic": TALK | {"wolf_chat"},
    "omar": TALK | {"wolf_chat"},
    "arena8": TALK | {"bid"},
    "mindgames6": TALK | {"wolf_chat"},
    "kaggle8": TALK,
    "aiwolf5": TALK,
    "aiwolf13": TALK | {"wolf_chat"},
    "witch9": TALK | {"wolf_chat", "last_words", "shot"},
    "mini4": TALK,
}
DECKS = {
    "classic": {"werewolf": 2, "seer": 1, "doctor": 1, "villager": 3},
    "omar": {"werewolf": 2, "seer": 1, "doctor": 1, "villager": 3},
    "arena8": {"werewolf": 2, "seer": 1, "doctor": 1, "villager": 4},
    "mindgames6": {"werewolf": 2, "seer": 1, "doctor": 1, "villager": 2},
    "kaggle8": {"werewolf": 2, "seer": 1, "doctor": 1, "villager": 4},
    "aiwolf5": {"werewolf": 1, "possessed": 1, "seer": 1, "villager": 2},
    "aiwolf13": {
        **{"werewolf": 3, "possessed": 1, "seer": 1, "doctor": 1, "medium": 1, "villager": 6},
    },
    "witch9": {"werewolf": 3, "seer": 1, "witch": 1, "hunter": 1, "villager": 3},
    "mini4": {"werewolf": 1, "seer": 1, "villager": 2},
}
# What the sources say, independently of the settings that are meant to bring it about.
ROUNDS = {  # of talk a day, and of wolves' talk a night
    **{"classic": (2, 1), "omar": (2, 1), "arena8": (8, 0), "mindgames6": (3, 1)},
    **{"kaggle8": (2, 0), "aiwolf5": (4, 0), "aiwolf13": (4, 4), "witch9": (1, 3), "mini4": (2, 0)},
}
SPEECH = {  # characters
    **{"classic": 500, "omar": 500, "aiwolf5": 250, "aiwolf13": 250, "mini4": 200},
    **dict.fromkeys(("arena8", "mindgames6", "kaggle8", "witch9"), 1000),
}
SEAT_ORDER = {"classic", "kaggle8", "witch9"}
DRAWN_ORDER = {"mindgames6", "aiwolf5", "aiwolf13", "mini4"}
OPEN_VOTES = {"mindgames6", "kaggle8"}
NO_FIRST_VOTE = {"aiwolf5", "aiwolf13"}
ONE_ORDER_A_DAY = {"mindgames6", "aiwolf5", "aiwolf13"}
SEER_LEARNS_ROLES = {"arena8", "kaggle8", "witch9"}
OWN_NAME_ON_BALLOT = {"mindgames6", "kaggle8", "aiwolf5", "aiwolf13", "witch9"}
CARDS_SHOWN = {"classic", "omar", "kaggle8"}
SILENCE_ALLOWED = {"aiwolf5", "aiwolf13", "mini4"}
ABSTAINING_ALLOWED = {"classic", "omar", "kaggle8"}
LOSS_COSTS = {"classic", "omar", "mindgames6"}
DOCTOR_PROTECTS = {  # itself, and the same player again
    **{"classic": (True, True), "omar": (True, True), "arena8": (True, True)},
    **{"mindgames6": (False, True), "kaggle8": (False, False), "aiwolf13": (False, True)},
}

every_preset = pytest.mark.parametrize("name", NAMES)


@cache
def games(name: str, episodes: int = 20) -> list[Episode]:
    """Games of random players."""
    return rollout.run(
        lambda: werewolf_v0.raw_env(**with_preset(name, {})), RandomPolicy(1), episodes, seed=1
    )


def stages(episode: Episode) -> Counter[str]:
    """How often each phase took place."""
    return Counter(stage.phase for stage in episode.stages)


def acts(episode: Episode, phase: str) -> dict[int, list[Turn]]:
    """The acts of each stage of a phase, by the stage's number."""
    numbers = [stage.turn for stage in episode.stages if stage.phase == phase]
    return {n: [turn for turn in episode.turns if turn.turn == n] for n in numbers}


def causes(episode: Episode) -> Counter[str]:
    """How many died of what."""
    return Counter(death["cause"] for death in episode.outcome["deaths"])


def role_of(episode: Episode, agent: str) -> str | None:
    return next(seat.role for seat in episode.seats if seat.agent == agent)


# --- what presets are ----------------------------------------------------------


def test_there_are_these() -> None:
    assert list(DECKS) == NAMES
    assert all(preset.name == name for name, preset in PRESETS.items())


@every_preset
def test_a_preset_cannot_be_changed(name: str) -> None:
    preset = PRESETS[name]
    with pytest.raises(dataclasses.FrozenInstanceError):
        preset.name = "mine"  # type: ignore[misc]
    with pytest.raises(TypeError):
        preset.settings["num_players"] = 20  # type: ignore[index]
    settings = with_preset(name, {})
    settings["roles"]["werewolf"] = 20
    settings["max_days"] = 999
    assert with_preset(name, {}) != settings
    assert preset.deck == DECKS[name]


def test_all_fix_the_same_settings() -> None:
    """A rule that a preset left open would follow the environment's defaults."""
    assert len({frozenset(preset.settings) for preset in PRESETS.values()}) == 1


@every_preset
def test_the_environment_plays_by_every_setting(name: str) -> None:
    config = werewolf_v0.raw_env(**with_preset(name, {})).config
    deck = {role: count for role, count in config.pop("roles").items() if count}
    assert deck == DECKS[name]
    fixed = dict(PRESETS[name].settings)
    del fixed["roles"]
    assert {setting: config[setting] for setting in fixed} == fixed


@every_preset
def test_by_name_it_is_the_same_environment(name: str) -> None:
    named = werewolf_v0.raw_env(preset=name)
    assert named.config == werewolf_v0.raw_env(**with_preset(name, {})).config
    assert werewolf_v0.env(preset=name, max_days=7).unwrapped.config["max_days"] == 7


# --- overriding ----------------------------------------------------------------


@given(
    st.sampled_from(NAMES),
    st.dictionaries(st.sampled_from([*PRESETS["mini4"].settings, "names", "zero_sum"]), st.none()),
)
def test_overrides_win_and_nothing_else_changes(name: str, overrides: dict[str, Any]) -> None:
    assert with_preset(name, overrides) == {**with_preset(name, {}), **overrides}
    assert with_preset(None, overrides) == overrides


@pytest.mark.parametrize(
    ("overrides", "deck"),
    [
        ({"num_players": 9}, {"werewolf": 2, "seer": 1, "doctor": 1, "villager": 5}),
        ({"num_players": 5}, {"werewolf": 2, "seer": 1, "doctor": 1, "villager": 1}),
        ({"roles": {"werewolf": 1}}, {"werewolf": 1, "villager": 6}),
        ({"roles": {"werewolf": 1}, "num_players": 3}, {"werewolf": 1, "villager": 2}),
        ({"roles": None, "num_players": 5}, {"werewolf": 1, "seer": 1, "villager": 3}),
    ],
)
def test_players_and_roles_may_be_overridden_alone(
    overrides: dict[str, Any], deck: Mapping[str, int]
) -> None:
    config = werewolf_v0.raw_env(**with_preset("classic", overrides)).config
    assert {role: count for role, count in config["roles"].items() if count} == deck


@pytest.mark.parametrize(
    ("overrides", "advice"),
    [
        ({"num_players": 4}, "lower the number of werewolves"),
        ({"num_players": 3}, "lower a count or raise num_players"),
        ({"roles": {"werewolf": 3, "villager": 6}}, "lower a count or raise num_players"),
        ({"roles": {"werewolf": 1, "villager": 3}}, "leave 'villager' out"),
    ],
)
def test_counts_that_do_not_fit_say_what_to_do(overrides: dict[str, Any], advice: str) -> None:
    with pytest.raises(ConfigError, match=advice):
        werewolf_v0.raw_env(**with_preset("classic", overrides))


@given(st.one_of(st.text(), st.integers(), st.tuples()).filter(lambda name: name not in PRESETS))
def test_an_unknown_name_is_refused_with_all_that_are_known(name: Any) -> None:
    with pytest.raises(ConfigError) as refused:
        with_preset(name, {})
    assert all(known in str(refused.value) for known in NAMES)


@given(st.sampled_from(NAMES), st.data())
def test_a_slip_of_the_pen_names_what_was_meant(name: str, data: st.DataObject) -> None:
    gap = data.draw(st.integers(0, len(name) - 1))
    slip = data.draw(st.sampled_from([name.upper(), name[:gap] + name[gap + 1 :], f"{name}_"]))
    with pytest.raises(ConfigError, match=f"did you mean '{name}'"):
        with_preset(slip, {})


# --- the games -----------------------------------------------------------------


@every_preset
def test_random_players_reach_the_end(name: str) -> None:
    played = games(name)
    assert len(played) == 20
    for episode in played:
        assert Counter(seat.role for seat in episode.seats) == DECKS[name]
        assert episode.outcome["winner"] in ("village", "werewolf")
        assert all(turn.valid for turn in episode.turns)
    assert {phase for episode in played for phase in stages(episode)} == PHASES[name]


@every_preset
def test_days_and_nights_have_their_rounds(name: str) -> None:
    talk, wolf_chat = ROUNDS[name]
    nights = 2 if "witch" in DECKS[name] else 1
    for episode in games(name):
        count = stages(episode)
        assert count["discussion"] == talk * episode.outcome["days"]
        assert count["vote"] == episode.outcome["days"] - (name in NO_FIRST_VOTE)
        assert count["wolf_chat"] * nights == wolf_chat * count["night"]
        assert count["bid"] == (count["discussion"] if name == "arena8" else 0)


@every_preset
def test_who_waits_for_whom(name: str) -> None:
    """Together, or one after another; later voters have heard the earlier ones."""
    env = started(3, preset=name)
    play_until(env, "discussion")
    living = [agent for agent in env.possible_agents if env.view(agent).alive]
    assert len(env.acting) == (len(living) if name == "omar" else 1)
    play_until(env, "vote")
    living = [agent for agent in env.possible_agents if env.view(agent).alive]
    sealed = name not in OPEN_VOTES
    assert len(env.acting) == (len(living) if sealed else 1)
    turn = env.view(living[0]).log[-1].turn
    voted = []
    for _ in living[:-1]:
        voted.append(env.agent_selection)
        step(env)
    (last,) = env.acting
    assert {*voted, last} == set(living)
    assert ([*voted, last] == living) == (name not in OPEN_VOTES or name in SEAT_ORDER)
    heard = [m.sender for m in env.view(last).log if m.kind == "action" and m.turn > turn]
    assert heard == ([] if sealed else voted)


@pytest.mark.parametrize("name", sorted(SEAT_ORDER | DRAWN_ORDER))
def test_in_which_order_they_speak(name: str) -> None:
    orders = [
        [int(turn.agent.removeprefix("player_")) for turn in turns]
        for episode in games(name)
        for turns in acts(episode, "discussion").values()
    ]
    assert all(order == sorted(order) for order in orders) == (name in SEAT_ORDER)
    assert all(len(set(order)) == len(order) for order in orders)


@pytest.mark.parametrize("name", sorted(DRAWN_ORDER))
def test_how_often_the_order_is_drawn(name: str) -> None:
    same = []
    for episode in games(name):
        orders: dict[str, list[list[str]]] = {}
        labels = {stage.turn: stage.label for stage in episode.stages}
        for number, turns in acts(episode, "discussion").items():
            orders.setdefault(labels[number], []).append([turn.agent for turn in turns])
        same += [order == first for first, *others in orders.values() for order in others]
    assert all(same) == (name in ONE_ORDER_A_DAY)


@every_preset
def test_what_a_seer_learns(name: str) -> None:
    learned = set()
    for seed in range(10):
        env = started(seed, preset=name)
        (seer,) = with_role(env, "seer")
        finish(env)
        learned |= set(env.view(seer).facts["investigations"].values())
    assert learned <= (set(DECKS[name]) if name in SEER_LEARNS_ROLES else {"werewolf", "village"})
    assert ("village" in learned) == (name not in SEER_LEARNS_ROLES)


@every_preset
def test_whom_a_vote_may_name(name: str) -> None:
    for episode in games(name):
        names = {seat.agent: seat.name for seat in episode.seats}
        for turns in acts(episode, "vote").values():
            for turn in turns:
                own = names[turn.agent] in turn.request.choices
                assert own == (name in OWN_NAME_ON_BALLOT)


@every_preset
def test_who_is_shown_the_votes(name: str) -> None:
    for episode in games(name):
        numbers = set(acts(episode, "vote"))
        shown = [m for m in episode.messages if m.turn in numbers and m.kind == "action"]
        assert all((m.audience is None) == (name != "arena8") for m in shown)


def test_kaggle8_wolves_who_disagree_kill_nobody() -> None:
    seen = set()
    for episode in games("kaggle8"):
        names = {seat.name: seat.agent for seat in episode.seats}
        for number, turns in acts(episode, "night").items():
            named = {t.text for t in turns if role_of(episode, t.agent) == "werewolf"}
            killed = {
                names[m.text.split()[0]]
                for m in episode.messages
                if m.turn == number and "was killed" in m.text
            }
            assert killed <= {names[name] for name in named}
            if len(named) > 1:
                assert not killed
            seen.add(len(named) > 1)
    assert seen == {True, False}


@every_preset
def test_how_long_a_speech_may_be_and_whether_it_may_be_none(name: str) -> None:
    env = started(3, preset=name)
    play_until(env, "discussion")
    act_together(env, dict.fromkeys(env.acting, ""))
    talk = next(iter(acts(finish(env), "discussion").values()))
    for turn in talk:
        assert turn.request.max_chars == SPEECH[name]
        if turn.reply == "":
            assert (turn.text, turn.valid) == ("", name in SILENCE_ALLOWED)


@every_preset
def test_what_a_death_shows(name: str) -> None:
    for seed in range(5):
        env = started(seed, preset=name)
        dead = {death["agent"] for death in finish(env).outcome["deaths"]}
        roles = {env.view(agent).name: env.view(agent).role for agent in dead}
        shown = roles if name in CARDS_SHOWN else {}
        assert all(env.view(agent).facts["revealed"] == shown for agent in env.possible_agents)


@every_preset
def test_what_is_paid(name: str) -> None:
    lost = -1.0 if name in LOSS_COSTS else 0.0
    for episode in games(name):
        winner = episode.outcome["winner"]
        for agent, team in episode.outcome["teams"].items():
            paid = episode.total_reward(agent)
            if team != winner:
                assert paid == lost
            elif name == "omar":
                missed = math.log(paid, 0.9)
                assert missed == pytest.approx(round(missed), abs=1e-9)
            else:
                assert paid == 1.0
    discounted = any(
        0 < episode.total_reward(agent) < 1
        for episode in games(name)
        for agent in episode.outcome["teams"]
    )
    assert discounted == (name == "omar")


@pytest.mark.parametrize("name", ["mindgames6", "aiwolf5", "aiwolf13", "mini4"])
def test_a_limit_that_cannot_be_met(name: str) -> None:
    for episode in games(name):
        assert episode.terminated
        assert causes(episode)["voted_out"] == len(acts(episode, "vote"))


@every_preset
def test_who_may_abstain(name: str) -> None:
    for episode in games(name):
        for turns in acts(episode, "vote").values():
            for turn in turns:
                assert ("abstain" in turn.request.choices) == (name in ABSTAINING_ALLOWED)


@pytest.mark.parametrize("name", DOCTOR_PROTECTS)
def test_whom_the_doctor_may_protect(name: str) -> None:
    itself = again = False
    for episode in games(name):
        names = {seat.agent: seat.name for seat in episode.seats}
        asked = [
            turn
            for turns in acts(episode, "night").values()
            for turn in turns
            if role_of(episode, turn.agent) == "doctor"
        ]
        itself |= any(names[turn.agent] in turn.request.choices for turn in asked)
        again |= any(before.text in turn.request.choices for before, turn in pairwise(asked))
    assert (itself, again) == DOCTOR_PROTECTS[name]


def test_arena8_needs_more_than_half_of_the_living() -> None:
    seen = set()
    for episode in games("arena8"):
        out = [d["agent"] for d in episode.outcome["deaths"] if d["cause"] == "voted_out"]
        names = {seat.name: seat.agent for seat in episode.seats}
        elected = []
        for turns in acts(episode, "vote").values():
            (first, votes), *_ = Counter(turn.text for turn in turns).most_common()
            seen.add(2 * votes > len(turns))
            elected += [names[first]] if 2 * votes > len(turns) else []
        assert elected == out
    assert seen == {True, False}


def test_arena8_bids_are_sealed_and_the_highest_speaks() -> None:
    env = started(2, preset="arena8")
    play_until(env, "bid")
    bidders = env.acting
    bids = dict.fromkeys(bidders, "1") | {bidders[2]: "4"}
    act_together(env, bids)
    assert env.acting == (bidders[2],)
    episode = finish(env)
    bid_stage = next(stage.turn for stage in episode.stages if stage.phase == "bid")
    told = [m for m in episode.messages if m.turn == bid_stage and m.sender in bidders]
    assert all(message.audience == (message.sender,) for message in told)


@pytest.mark.parametrize("name", ["arena8", "kaggle8"])
def test_wolves_choose_without_talk(name: str) -> None:
    for episode in games(name):
        assert not [m for m in episode.messages if m.kind == "speech" and m.audience is not None]


def test_kaggle8_lets_a_tie_live() -> None:
    seen = set()
    for episode in games("kaggle8"):
        out = 0
        for turns in acts(episode, "vote").values():
            votes = Counter(turn.text for turn in turns if turn.text != "abstain")
            best = [name for name, count in votes.items() if count == max(votes.values())]
            out += len(best) == 1
            seen.add(len(best) == 1)
        assert causes(episode)["voted_out"] == out
    assert seen == {True, False}


@pytest.mark.parametrize("name", ["aiwolf5", "aiwolf13"])
def test_aiwolf_begins_with_the_divination(name: str) -> None:
    for episode in games(name):
        first, *_ = acts(episode, "night").values()
        assert [role_of(episode, turn.agent) for turn in first] == ["seer"]
        assert not [d for d in episode.outcome["deaths"] if (d["day"], d["cause"]) == (1, "killed")]


@pytest.mark.parametrize("name", ["aiwolf5", "aiwolf13"])
def test_aiwolf_possessed_knows_nobody_and_is_human_to_who_looks(name: str) -> None:
    human = set()
    for seed in range(30):
        env = started(seed, preset=name)
        (possessed,) = with_role(env, "possessed")
        assert env.view(possessed).facts["partners"] == []
        for wolf in with_role(env, "werewolf"):
            assert env.view(possessed).name not in env.view(wolf).facts["partners"]
        finish(env)
        roles = {env.view(agent).name: env.view(agent).role for agent in env.possible_agents}
        for looker in (*with_role(env, "seer"), *with_role(env, "medium")):
            facts = env.view(looker).facts
            for looked_at, team in {**facts["investigations"], **facts["executed"]}.items():
                assert (team == "werewolf") == (roles[looked_at] == "werewolf")
                human |= {env.view(looker).role} if roles[looked_at] == "possessed" else set()
    assert human == {role for role in ("seer", "medium") if role in DECKS[name]}


def test_witch9_last_words_are_of_the_voted_out() -> None:
    for episode in games("witch9"):
        assert stages(episode)["last_words"] == causes(episode)["voted_out"]


def test_witch9_potions_and_shots() -> None:
    seen: Counter[str] = Counter()
    for episode in games("witch9", 60):
        count = causes(episode)
        assert count["poisoned"] <= 1
        hunter = next(seat.agent for seat in episode.seats if seat.role == "hunter")
        end = next((d["cause"] for d in episode.outcome["deaths"] if d["agent"] == hunter), "lives")
        assert count["shot"] == (end in ("killed", "voted_out"))
        seen[end] += 1
        for turns in acts(episode, "shot").values():
            assert "pass" not in turns[0].request.choices
    assert {"killed", "voted_out", "poisoned"} <= set(seen)


def test_witch9_witch_is_told_the_victim_while_she_can_heal_herself_too() -> None:
    env = started(3, preset="witch9")
    (witch,) = with_role(env, "witch")
    own = env.view(witch).name

    def only_wolves_want_her(view: View) -> str:
        assert view.request is not None
        wanted = view.role == "werewolf" and view.facts["phase"] == "night"
        named = [choice for choice in view.request.choices if (choice == own) == wanted]
        return named[0] if named else "Nothing."

    while env.acting != (witch,) or env.view(witch).facts["phase"] != "night":
        step(env, only_wolves_want_her)
    assert env.view(witch).facts["victim"] == own
    env.step(own)
    play_until(env, "discussion", only_wolves_want_her)
    assert env.view(witch).alive
    while env.acting != (witch,) or env.view(witch).facts["phase"] != "night":
        step(env, only_wolves_want_her)
    assert env.view(witch).facts["victim"] is None
    request = env.view(witch).request
    assert request is not None
    assert own not in request.choices


def test_mini4_is_one_day_whose_vote_decides() -> None:
    for episode in games("mini4"):
        assert episode.outcome["days"] == 1
        assert causes(episode) == {"killed": 1, "voted_out": 1}
        out = episode.outcome["deaths"][-1]["agent"]
        voted_wolf = role_of(episode, out) == "werewolf"
        assert episode.outcome["winner"] == ("village" if voted_wolf else "werewolf")


def test_mini4_random_play_meets_the_fixed_night_in_two_of_nine_games() -> None:
    met = 0
    for episode in games("mini4", 600):
        names = {seat.name: seat.role for seat in episode.seats}
        (night,) = acts(episode, "night").values()
        chosen = {role_of(episode, turn.agent): names[turn.text] for turn in night}
        met += chosen == {"werewolf": "villager", "seer": "werewolf"}
    assert abs(met / 600 - 2 / 9) < 4 * math.sqrt(2 / 9 * 7 / 9 / 600)


# --- the page ------------------------------------------------------------------


def test_the_page_is_up_to_date() -> None:
    """``python -m omar_envs.werewolf.presets > docs/presets.md`` brings it up to date."""
    assert PAGE.read_text("utf-8") == page()


def test_the_command_prints_the_page() -> None:
    printed = subprocess.run(
        [sys.executable, "-X", "utf8", "-W", "error", "-m", "omar_envs.werewolf.presets"],
        capture_output=True,
        check=True,
    )
    assert printed.stdout.decode("utf-8").splitlines() == page().splitlines()


@every_preset
def test_a_section_shows_every_setting_and_every_rule(name: str) -> None:
    sections = page().split("\n## ")[1:]
    (section,) = (part for part in sections if part.startswith(f"{name}\n"))
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line[:1] == "|"]
    for setting, value in with_preset(name, {}).items():
        assert [f"`{setting}`", f"`{value!r}`"] in rows
    rules = {row[0]: row for row in rows if len(row) == 4}
    preset = PRESETS[name]
    assert len(rules) == len(preset.aspects) + 2  # the head and the line below it
    for aspect in preset.aspects:
        assert rules[aspect.name][3].startswith("differs: " if aspect.differs else "equal")
        assert not (aspect.differs and aspect.ours.startswith("the same"))
    assert preset.what in section
    assert preset.source in section
