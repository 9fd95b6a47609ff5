"""Measures of play on games small enough to count by hand, and the laws they obey."""

from __future__ import annotations

import pydoc
from itertools import pairwise, permutations
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omar_envs import rollout, werewolf_v0
from omar_envs.errors import EpisodeError
from omar_envs.intervals import wilson
from omar_envs.policy import ScriptedPolicy
from omar_envs.types import SPEAK, Episode, View
from omar_envs.werewolf import measured_influence, measured_play, measured_speech
from omar_envs.werewolf.estimates import nothing
from omar_envs.werewolf.measures import MEASURES, markdown, measure
from tests.envs.episode_samples import Story, changed, negotiation
from tests.envs.games import act_together, finish, name_of, started, with_role

FIVE = {"Ana": "werewolf", "Ben": "seer", "Cleo": "villager", "Dev": "doctor", "Ema": "villager"}
SEVEN = {**FIVE, "Finn": "werewolf", "Gus": "villager"}
ALL_ROLES = {
    **{"werewolf": 2, "mason": 2, "seer": 1, "doctor": 1, "witch": 1, "hunter": 1},
    **{"medium": 1, "possessed": 1, "mayor": 1, "idiot": 1, "jester": 1},
}


def counted(*episodes: Episode) -> dict[str, tuple[int | None, int]]:
    """Hits and chances of every share that had a chance."""
    found = measure(episodes)
    return {name: (e.hits, e.n) for name, e in found.items() if e.kind == "share" and e.n}


def mean(name: str, *episodes: Episode) -> float:
    value = measure(episodes)[name].value
    assert value is not None
    return value


class RandomTalker:
    """Accuses a random other player, and chooses at random: its talk moves nobody."""

    name = "random talker"

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def act(self, views: list[View]) -> list[str]:
        return [self._reply(view) for view in views]

    def _reply(self, view: View) -> str:
        assert view.request is not None
        if view.request.kind is not SPEAK:
            return str(self._rng.choice(view.request.choices))
        others = [name for name in view.facts["alive"] if name != view.name]
        return f"I suspect {self._rng.choice(others)}." if self._rng.random() < 0.4 else "Hm."


# --- results and survival ---------------------------------------------------


def test_wins_by_team_and_role() -> None:
    village = Story(**FIVE).vote(Ben="Ana", out="Ana").end("village")
    wolves = Story(**FIVE).night(Ana="Ben", killed="Ben").end("werewolf")
    draw = Story(**FIVE).vote(Ben="abstain").end(truncated=True)
    found = counted(village, wolves, wolves, draw)
    assert found["truncated_games"] == (1, 4)
    assert found["village_wins"] == (1, 3)
    assert found["werewolf_wins"] == (2, 3)
    assert found["role_wins/werewolf"] == (2, 3)
    assert found["role_wins/villager"] == (2, 6)
    assert found["role_wins"] == (2 * 1 + 4, 15)
    assert "jester_wins" not in found


def test_a_team_of_its_own_and_a_possessed() -> None:
    roles = FIVE | {"Finn": "jester", "Gus": "possessed"}
    jester = Story(**roles).vote(Ana="Finn", out="Finn").end("jester")
    wolves = Story(**roles).night(Ana="Ben", killed="Ben").end("werewolf")
    found = counted(jester, wolves)
    assert found["jester_wins"] == found["role_wins/jester"] == (1, 2)
    assert found["village_wins"] == (0, 2)
    assert found["role_wins/possessed"] == (1, 2)


def test_a_win_counts_once_however_many_share_it() -> None:
    """Three villagers of one team are one piece of evidence, not three."""
    games = [Story(**FIVE).vote(out="Ana").end("village")] * 6
    games += [Story(**FIVE).night(killed="Ben").end("werewolf")] * 4
    found = measure(games)
    seer, villagers = found["role_wins/seer"], found["role_wins/villager"]
    assert (seer.n, villagers.n) == (10, 20)
    assert (seer.low, seer.high) == pytest.approx(wilson(6, 10))
    assert (villagers.low, villagers.high) == pytest.approx(wilson(6, 10))


def test_days_survived_with_nights_first() -> None:
    game = (
        Story(**SEVEN)
        .night(Ana="Cleo", killed="Cleo")
        .vote(Ben="Ema", out="Ema")
        .night(Ana="Dev", killed="Dev")
        .vote(Ben="Ana", out="Ana")
        .end(truncated=True)
    )
    found = measure([game])
    days = {"Cleo": 0, "Ema": 0, "Dev": 1, "Ana": 1, "Ben": 2, "Finn": 2, "Gus": 2}
    assert found["days_survived"].value == pytest.approx(fmean(days.values()))
    assert found["days_survived/villager"].value == pytest.approx(2 / 3)
    assert found["days_survived/doctor"].value == 1
    assert counted(game)["survival"] == (3, 7)
    assert counted(game)["survival/villager"] == (1, 3)
    assert counted(game)["survival/seer"] == (1, 1)


@pytest.mark.parametrize("cause", ["killed", "poisoned"])
def test_days_survived_where_the_night_follows_the_day(cause: str) -> None:
    day = Story(**FIVE).vote(Ben="Ema", out="Ema")
    game = day.night(Ana="Dev", **{cause: "Dev"}).end("werewolf")
    assert mean("days_survived/doctor", game) == 1
    assert mean("days_survived/villager", game) == (0 + 1) / 2


@pytest.mark.parametrize(("by_night", "days"), [(True, 1), (False, 0)])
def test_who_is_shot_dies_when_the_hunter_does(by_night: bool, days: int) -> None:
    story = Story(**FIVE, Hal="hunter").talk(Ana="Hm")
    if by_night:
        story.vote(Ben="abstain").night(Ana="Hal", killed="Hal")
    else:
        story.vote(Ben="Hal", out="Hal")
    game = story.shot(1, Hal="Ben").end("werewolf")
    assert mean("days_survived/seer", game) == mean("days_survived/hunter", game) == days
    assert mean("days_survived/doctor", game) == 1


# --- votes and powers -------------------------------------------------------


def test_votes_of_the_village_that_name_a_wolf() -> None:
    roles = SEVEN | {"Pia": "possessed", "Jon": "jester"}
    game = (
        Story(**roles)
        .vote(
            Ana="Ben",
            Finn="Ana",
            Ben="Finn",
            Cleo="Ana",
            Dev="Pia",
            Ema="abstain",
            Gus="!abstain",
            Pia="Ana",
            Jon="Ana",
        )
        .vote(Ben="Ana", Dev="Ana", Gus="Ana", among=("Ana", "Pia"), out="Ana")
        .end()
    )
    found = counted(game)
    assert found["votes_hit_wolf"] == (2, 3)
    assert found["votes_hit_wolf/villager"] == (1, 1)
    assert found["votes_hit_wolf/doctor"] == (0, 1)
    assert not found.keys() & {f"votes_hit_wolf/{r}" for r in ("werewolf", "possessed", "jester")}
    assert found["abstentions"] == (1, 8)
    assert found["invalid_acts"] == found["invalid_acts/vote"] == (1, 12)


def test_where_no_first_vote_could_be_read_the_second_ballot_counts_no_more() -> None:
    """No vote of the first could be read; those among the tied are no votes of the day."""
    game = (
        Story(**SEVEN)
        .talk(Ana="I suspect Cleo.")
        .vote(Ben="!Ana", Cleo="!Dev", Dev="!Ana", Ema="!Dev")
        .vote(Ben="Ana", Cleo="Ana", Dev="Ana", Ema="Dev", among=("Ana", "Dev"), out="Ana")
        .night(Finn="Ben", killed="Ben")
        .vote(Cleo="Finn")
        .end()
    )
    found = measure([game])
    assert counted(game)["votes_hit_wolf"] == (1, 1)
    assert counted(game)["abstentions"] == (0, 1)
    assert not found["village_vote_agreement"].n
    assert not found["vote_swing"].n


def test_seers_and_doctors() -> None:
    game = (
        Story(**SEVEN)
        .night(Ana="Cleo", Finn="Cleo", Ben="Finn", Dev="Cleo")
        .vote(Ben="abstain")
        .night(Ana="Gus", Finn="Ema", Ben="Ema", Dev="Gus", killed="Ema")
        .vote(Ben="abstain")
        .night(Ana="Gus", Finn="Gus", Ben="!Ana", Dev="!Gus")
        .end("werewolf")
    )
    found = counted(game)
    assert found["investigations_hit_wolf"] == (1, 2)
    assert found["protections_hit_victim"] == (1, 2)
    assert found["victims_saved"] == (2, 3)


@pytest.mark.parametrize(
    ("doctor", "witch", "poisoned", "protections", "saved"),
    [
        ("Gus", "", "", (1, 1), (1, 1)),
        ("Ben", "Cleo", "", (0, 1), (1, 1)),
        ("Ben", "pass", "", None, None),
        ("Cleo", "Gus", "", None, None),
        ("Ben", "Cleo", "Cleo", (0, 1), (0, 1)),
        ("Gus", "Ana", "Ana", (1, 1), (1, 1)),
    ],
)
def test_the_victim_of_a_night_in_which_wolves_were_of_two_minds(
    doctor: str,
    witch: str,
    poisoned: str,
    protections: tuple[int, int] | None,
    saved: tuple[int, int] | None,
) -> None:
    """Nobody was killed, so it was one of the two named; who it was shows in who saved it."""
    story = Story(**SEVEN, Witch="witch").vote(Ben="abstain")
    story.night(Ana="Gus", Finn="Cleo", Dev=doctor, witch=witch, poisoned=poisoned)
    found = counted(story.end("werewolf"))
    assert found.get("protections_hit_victim") == protections
    assert found.get("victims_saved") == saved


def test_a_tie_that_spares_all_has_no_victim() -> None:
    """Whoever the doctor had protected, the wolves' two minds chose nobody to save."""
    story = Story(**SEVEN).vote(Ben="abstain").night(Ana="Gus", Finn="Cleo", Dev="Gus").end()
    drawn = changed(story, config={"kill_tie": "random"})
    assert counted(drawn)["victims_saved"] == counted(drawn)["protections_hit_victim"] == (1, 1)
    spared = counted(changed(story, config={"kill_tie": "none"}))
    assert not spared.keys() & {"victims_saved", "protections_hit_victim"}


def test_a_peaceful_night_has_no_victim_to_protect() -> None:
    found = counted(Story(**FIVE).night(Ben="Ana", Dev="Ben").end())
    assert found["investigations_hit_wolf"] == (1, 1)
    assert "protections_hit_victim" not in found


def test_poison_and_shots() -> None:
    roles = SEVEN | {"Witch": "witch", "Hal": "hunter", "Pia": "possessed"}
    game = (
        Story(**roles)
        .night(Ana="Hal", Finn="Hal", witch="Finn", killed="Hal", poisoned="Finn")
        .shot(1, Hal="Pia")
        .vote(Ben="abstain")
        .night(Ana="Ben", witch="Dev", killed="Ben", poisoned="Dev")
        .end("werewolf")
    )
    found = counted(game)
    assert found["poisons_hit_wolf"] == (1, 2)
    assert found["shots_hit_wolf"] == (0, 1)
    assert found["victims_saved"] == (0, 2)


@pytest.mark.parametrize(
    ("first_phase", "victims", "days"), [("night", 2, (0 + 1 + 4 * 2) / 6), ("day", 1, 11 / 6)]
)
def test_a_first_day_without_talk_and_vote_is_a_day(
    first_phase: str, victims: int, days: float
) -> None:
    """Where the game begins by night, no stage lies between its first two nights."""
    env = started(
        num_players=6,
        roles={"werewolf": 1},
        first_phase=first_phase,
        first_day_vote=False,
        discussion_rounds=0,
        max_days=2,
    )
    for villager in with_role(env, "villager")[:victims]:
        act_together(env, dict.fromkeys(env.acting, name_of(env, villager)))
    game = finish(env, lambda view: "abstain")
    assert counted(game)["victims_saved"] == (0, victims)
    assert mean("days_survived", game) == pytest.approx(days)


# --- influence --------------------------------------------------------------


def test_vote_swing_by_hand() -> None:
    game = (
        Story(**FIVE)
        .talk(Ben="I suspect Ana", Cleo="Hm", Dev="Ben is lying")
        .vote(Ana="Ben", Ben="Ana", Cleo="Ana", Dev="abstain", Ema="Cleo")
        .end()
    )
    found = measure([game])
    # Ben on Ana, each voter with four candidates: Cleo +1, Dev 0, Ema −1/3.
    assert found["vote_swing/seer"].value == pytest.approx((1 + 0 - 1 / 3) / 3)
    # Dev on Ben: Ana +1, Cleo −1/3, Ema −1/3.
    assert found["vote_swing/doctor"].value == pytest.approx((1 - 2 / 3) / 3)
    assert found["vote_swing"].value == pytest.approx((2 / 9 + 1 / 9) / 2)
    assert found["vote_swing"].n == 2
    assert counted(game)["accusing_speeches"] == (2, 3)


def test_who_accused_before_is_not_moved() -> None:
    votes = dict.fromkeys(("Ben", "Cleo", "Dev", "Ema"), "Ana")
    talk = Story(**FIVE).talk(Ben="I suspect Ana", Cleo="vote for Ana").talk(Dev="I accuse Ana")
    later = talk.vote(**(votes | {"Ema": "Ben"})).end()
    found = measure([later])
    # Of the first stage's two speakers neither moved the other: left are Dev and Ema.
    assert found["vote_swing/seer"].value == pytest.approx((1 - 1 / 3) / 2)
    assert found["vote_swing/villager"].value == pytest.approx((1 - 1 / 3) / 2)
    # Dev spoke last, so only Ema was still to be won.
    assert found["vote_swing/doctor"].value == pytest.approx(-1 / 3)


def test_an_accusation_counts_once_a_day_and_not_of_oneself() -> None:
    story = Story(**FIVE).talk(Ben="I suspect Ana", Ema="I suspect Ema").talk(Ben="I suspect Ana")
    story.vote(Cleo="Ana").night(Ana="Dev", Dev="Dev")
    game = story.talk(Ben="I suspect Ana").vote(Cleo="Ben").end()
    found = measure([game])
    assert found["vote_swing"].n == 2
    assert found["vote_swing"].value == pytest.approx((1 - 1 / 3) / 2)


def test_the_accused_is_no_voter_even_where_it_may_vote_for_itself() -> None:
    env = started(
        num_players=5,
        roles={"werewolf": 1},
        first_phase="day",
        discussion_rounds=1,
        allow_self_vote=True,
    )
    accuser, accused = name_of(env, "player_0"), name_of(env, "player_1")
    act_together(env, {"player_0": f"I suspect {accused}."})
    act_together(env, dict.fromkeys(env.possible_agents, accused) | {"player_1": accuser})
    assert mean("vote_swing", finish(env)) == 1


def test_talk_that_no_vote_follows_moves_nobody() -> None:
    game = (
        Story(**FIVE)
        .night(Ana="Cleo", killed="Cleo")
        .talk(Cleo="I suspect Ana", phase="last_words")
        .talk(Ben="Cleo is a wolf")
        .vote(Ben="Ana", Dev="Ana", Ema="Ana", out="Ana")
        .talk(Ana="I suspect Ben", phase="last_words")
        .end("village")
    )
    assert measure([game])["vote_swing"].n == 0


def test_concealment_by_hand() -> None:
    game = (
        Story(**SEVEN)
        .vote(Ana="Ben", Finn="Ben", Ben="Finn", Cleo="Ana", Dev="Ema", Ema="abstain", Gus="!Ana")
        .end()
    )
    # Three votes of the village, two wolves among six candidates each: one expected, two drawn.
    assert mean("concealment", game) == pytest.approx(1 - 2)
    hidden = Story(**SEVEN).vote(Ana="Ben", Ben="Cleo", Cleo="Ben").end()
    assert mean("concealment", hidden) == 1
    assert mean("concealment", game, hidden) == pytest.approx(1 - 2 / (5 * 2 / 6))


def test_voting_manipulation_by_hand() -> None:
    game = (
        Story(**SEVEN)
        .talk(Ana="Ben is lying", Finn="I suspect Ana", Cleo="I suspect Ben")
        .talk(Gus="I suspect Ben", Finn="I suspect Dev and Ben")
        .vote(Ana="Ben", Finn="Ben", Ben="Dev", Cleo="Ben", Dev="Ben", Ema="Ana", Gus="Ben")
        .end()
    )
    # A wolf accused Ben first in stage 0, and Dev in stage 1; Ana is a wolf herself. Open to it:
    # Ben to {Dev}, Cleo to {Dev}, Dev to {Ben}, Ema to {Ben, Dev}, Gus to {Ben, Dev}.
    assert counted(game)["wolf_accusation_followed"] == (3, 5)
    lifts = [1 - 1 / 6, 0 - 1 / 6, 1 - 1 / 6, 0 - 2 / 6, 1 - 2 / 6]
    assert mean("voting_manipulation", game) == pytest.approx(fmean(lifts))


def test_agreement_by_hand() -> None:
    game = (
        Story(**SEVEN)
        .night(Ana="Ben", Finn="Ben", killed="Ben")
        .vote(Ana="Cleo", Finn="Dev", Cleo="Ana", Dev="Ana", Ema="Finn", Gus="abstain")
        .night(Ana="Cleo", Finn="Dev", killed="Dev")
        .vote(Ana="Cleo", Finn="Cleo", Cleo="abstain", Ema="Ana", out="Cleo")
        .night(Ana="Ema", Finn="!Ema", killed="Ema")
        .end("werewolf")
    )
    found = measure([game])
    assert (found["wolf_kill_agreement"].value, found["wolf_kill_agreement"].n) == (1 / 2, 2)
    assert (found["wolf_vote_agreement"].value, found["wolf_vote_agreement"].n) == (1 / 2, 2)
    assert found["village_vote_agreement"].value == pytest.approx(1 / 3)
    assert found["village_vote_agreement"].n == 1


@given(st.lists(st.sampled_from(["Ana", "Finn", "Gus"]), min_size=2, max_size=5))
def test_agreement_is_the_share_of_pairs_that_agree(votes: list[str]) -> None:
    voters = [name for name, role in SEVEN.items() if role != "werewolf"]
    game = Story(**SEVEN).vote(**dict(zip(voters, votes, strict=False))).end()
    pairs = [a == b for a, b in permutations(votes, 2)]
    assert mean("village_vote_agreement", game) == pytest.approx(fmean(pairs))


def test_talk_that_moves_nobody_swings_nothing() -> None:
    """Votes at random: whatever is said, all three measures of influence are 0."""
    settings = {"num_players": 6, "roles": {"werewolf": 2, "seer": 1}, "max_days": 2}
    games = rollout.run(lambda: werewolf_v0.raw_env(**settings), RandomTalker(0), 300, seed=5)
    found = measure(games)
    for name in ("vote_swing", "concealment", "voting_manipulation"):
        at = found[name]
        assert at.value is not None and at.low is not None and at.high is not None
        assert at.n > 300
        error = (at.high - at.low) / 2 / 1.96
        assert abs(at.value) < 3 * error, name
        assert error < 0.1


# --- speech -----------------------------------------------------------------


def test_lengths_and_silence() -> None:
    game = (
        Story(**FIVE)
        .talk(Ana="four", Ben="", Cleo="!", Dev="sixsix")
        .talk(Ana="eleven long", phase="last_words")
        .end()
    )
    found = measure([game])
    assert counted(game)["silence"] == (2, 5)
    assert found["speech_chars"].value == pytest.approx((4 + 6 + 11) / 3)
    assert found["speech_chars_median"].value == 6
    assert counted(game)["invalid_acts/discussion"] == (1, 4)


def test_repetition_by_hand() -> None:
    game = (
        Story(**FIVE)
        .talk(Ana="we must vote now", Ben="we must vote now", Cleo="Yes")
        .talk(Ana="Now we must vote, we must vote!", Cleo="yes ")
        .end()
    )
    found = counted(game)
    # Ana: we-must-vote, must-vote-now; now-we-must, we-must-vote, must-vote-we, vote-we-must,
    # we-must-vote: two of seven are said again. Ben says two of his own.
    assert found["repeated_phrases"] == (2, 9)
    # Ben repeats Ana, Cleo herself.
    assert found["repeated_speeches"] == (2, 5)


# --- laws -------------------------------------------------------------------


@pytest.fixture(scope="module")
def games() -> list[Episode]:
    """Bots' games with every role, revotes, last words and bids."""
    settings = {
        "num_players": 14,
        "roles": ALL_ROLES,
        "discussion": "bidding",
        "discussion_rounds": 6,
        "last_words": "all",
        "vote_tie": "revote",
    }
    return rollout.run(lambda: werewolf_v0.raw_env(**settings), ScriptedPolicy(1), 25, seed=3)


def test_every_role_and_phase_is_read(games: list[Episode]) -> None:
    found = measure(games)
    assert {f"role_wins/{role}" for role in ALL_ROLES} <= found.keys()
    phases = {stage.phase for game in games for stage in game.stages}
    assert {"bid", "last_words", "shot"} <= phases
    assert found["poisons_hit_wolf"].n + found["shots_hit_wolf"].n > 0
    assert found["vote_swing/possessed"].n > 0
    assert not found.keys() & {f"votes_hit_wolf/{r}" for r in ("werewolf", "possessed", "jester")}
    days = sum(game.outcome["days"] for game in games)
    assert 0 < found["village_vote_agreement"].n <= days


def test_counts_add_up_over_games(games: list[Episode]) -> None:
    whole, first, rest = measure(games), measure(games[:10]), measure(games[10:])
    for name, sum_ in whole.items():
        parts = [half.get(name, nothing(sum_.kind)) for half in (first, rest)]
        assert sum_.n == sum(part.n for part in parts)
        assert sum_.games == sum(part.games for part in parts)
        if sum_.kind == "share":
            assert sum_.hits == sum(part.hits or 0 for part in parts)


def test_the_order_of_games_does_not_matter(games: list[Episode]) -> None:
    backwards = measure(games[::-1])
    for name, one in measure(games).items():
        assert one[:4] == pytest.approx(backwards[name][:4]), name


def test_copies_of_games_change_no_value(games: list[Episode]) -> None:
    once, twice = measure(games), measure(games * 2)
    assert once.keys() == twice.keys()
    for name, one in once.items():
        assert one.value == pytest.approx(twice[name].value)


def test_every_measure_is_reported_even_without_games() -> None:
    assert measure([]) == {name: nothing(what.kind) for name, what in MEASURES.items()}


def test_every_formula_stands_where_readers_look() -> None:
    """``pydoc`` and the reference show what is public, and nothing else."""
    modules = (measured_play, measured_influence, measured_speech)
    shown = "".join(pydoc.plain(pydoc.render_doc(module)) for module in modules)
    assert not [name for name in MEASURES if f"``{name}``" not in shown]
    reference = (Path(__file__).parents[2] / "docs" / "api" / "werewolf.md").read_text("utf-8")
    assert not [m.__name__ for m in modules if f"::: {m.__name__}\n" not in reference]


def test_measures_come_in_their_order(games: list[Episode]) -> None:
    names = list(measure(games))
    assert [name for name in names if "/" not in name] == list(MEASURES)
    for before, name in pairwise(names):
        assert name.split("/")[0] in (name, before.split("/")[0])


def test_another_game_is_refused() -> None:
    with pytest.raises(EpisodeError, match="sotopia_v0"):
        measure([negotiation()])


# --- the table --------------------------------------------------------------


def test_table() -> None:
    won = Story(**FIVE).talk(Ana="Hello there").vote(Ben="Ana", out="Ana").end("village")
    lost = Story(**FIVE).night(Ana="Ben", killed="Ben").end("werewolf")
    lines = markdown({"start": measure([won, lost]), "trained": measure([lost])}).splitlines()
    assert lines[:2] == ["| measure | of | start | trained |", "| --- | --- | ---: | ---: |"]
    assert (
        "| games that the day limit ended |  | 0.0% [0.0, 65.8] of 2 | 0.0% [0.0, 79.3] of 1 |"
        in (lines)
    )
    assert "| characters of a speech |  | 11.00 (1) | – |" in lines
    assert any(line.startswith("| seats alive at the end | seer | 50.0% [") for line in lines)
    assert not any("jester" in line or "above chance" in line for line in lines)
    assert all(line.count("|") == 5 for line in lines)
