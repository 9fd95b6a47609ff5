"""Rules that the environment applies, not the rules engine: what is read, told, and forgotten."""

from __future__ import annotations

import pytest

from omar_envs.conversation import ConversationEnv
from tests.envs.games import act_together, name_of, phase, play_until, started, with_role


def vote_out(env: ConversationEnv, target: str) -> None:
    name = name_of(env, target)
    act_together(env, lambda view: name if view.name != name else "abstain")


def test_an_unreadable_vote_is_an_abstention_where_there_are_any() -> None:
    for seed in range(5):
        env = started(seed, first_phase="day", discussion_rounds=0)
        victim = with_role(env, "villager")[0]
        # One vote counts for more than six that cannot be read.
        act_together(env, {"player_0": name_of(env, victim)})
        assert env.infos[victim]["alive"] is (victim == "player_0")


def test_an_unreadable_vote_is_for_somebody_where_all_must_vote() -> None:
    env = started(1, first_phase="day", discussion_rounds=0, allow_abstain=False)
    act_together(env, {})
    assert sum(not info["alive"] for info in env.infos.values()) == 1


def test_who_was_named_yesterday_has_no_claim_to_speak_today() -> None:
    claims = []
    for seed in range(12):
        env = started(
            seed,
            num_players=6,
            roles={"werewolf": 1, "doctor": 1},
            first_phase="day",
            discussion="bidding",
            discussion_rounds=1,
            reveal_on_death="none",
        )
        quiet, named = with_role(env, "villager")[:2]
        act_together(env, {quiet: "4"})
        env.step(f"What does {name_of(env, named)} think?")
        play_until(env, "night", lambda view: "abstain")
        # Whom the wolf names the doctor protects.
        act_together(env, dict.fromkeys(env.possible_agents, name_of(env, quiet)))
        assert phase(env) == (2, "bid")
        act_together(env, {})
        claims.append(env.acting == (named,))
    assert sum(claims) < 8


@pytest.mark.parametrize(
    ("reveal", "shown"), [(["none", "role"], None), (["role", "none"], "seer")]
)
def test_of_who_is_shot_at_night_is_told_what_is_told_of_the_nights_dead(
    reveal: list[str], shown: str | None
) -> None:
    env = started(
        num_players=9,
        roles={"werewolf": 2, "hunter": 1, "seer": 1},
        wolf_chat_rounds=0,
        reveal_on_death=reveal,
    )
    hunter, seer = with_role(env, "hunter")[0], with_role(env, "seer")[0]
    act_together(env, lambda view: name_of(env, hunter))
    assert env.acting == (hunter,)
    env.step(name_of(env, seer))
    assert not env.infos[seer]["alive"]
    assert env.view(hunter).facts["revealed"].get(name_of(env, seer)) == shown


def test_last_words_come_out_of_no_budget() -> None:
    env = started(
        num_players=6,
        first_phase="day",
        discussion="round_robin",
        discussion_rounds=1,
        speech_budget=10,
        max_speech_chars=40,
        last_words="day",
    )
    out = with_role(env, "villager")[0]
    while phase(env) == (1, "discussion"):
        env.step("x" * 10)
    vote_out(env, out)
    assert phase(env) == (1, "last_words")
    request = env.view(out).request
    assert request is not None
    assert request.max_chars == 40


def test_the_articles_of_revealed_roles() -> None:
    env = started(
        num_players=6,
        roles={"werewolf": 1, "seer": 1, "idiot": 1},
        wolf_chat_rounds=0,
        seer_learns="role",
    )
    (idiot,), (seer,) = with_role(env, "idiot"), with_role(env, "seer")
    act_together(env, lambda view: name_of(env, idiot))
    assert f"{name_of(env, idiot)} was an idiot." in env.observe(seer)["text"]
    assert f"{name_of(env, idiot)} is an idiot." in env.observe(seer)["text"]


@pytest.mark.parametrize(
    ("vote_rule", "mayor_vote", "told"),
    [
        ("plurality", "double", "The mayor's vote counts twice."),
        ("majority", "double", "The mayor's vote counts twice."),
        ("plurality", "tiebreak", "The mayor's vote decides between the tied."),
        ("majority", "tiebreak", ""),
    ],
)
def test_players_are_told_of_the_mayor_what_is_true(
    vote_rule: str, mayor_vote: str, told: str
) -> None:
    env = started(roles={"werewolf": 1, "mayor": 1}, vote_rule=vote_rule, mayor_vote=mayor_vote)
    text = env.observe("player_0")["text"]
    said = [line[line.index("The mayor") :] for line in text.split("\n") if "The mayor" in line]
    assert said == [told] * bool(told)
