"""What plays the seats: random, scripted, muted and human."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

import pytest

from omar_envs import rollout, werewolf_v0
from omar_envs.errors import PolicyError
from omar_envs.policy import HumanPolicy, MutedPolicy, Policy, RandomPolicy, ScriptedPolicy
from omar_envs.types import SPEAK, Episode
from omar_envs.werewolf.names import DEFAULT_NAMES
from tests.envs.games import started, with_role

GAMES = 150
QUIET_START = {"num_players": 5, "first_night_kill": False}
"""One wolf, a seer, three villagers; the seer acts before anybody dies."""


def episodes(policy: Policy, games: int = GAMES, seed: int = 0, **config: object) -> list[Episode]:
    return rollout.run(lambda: werewolf_v0.raw_env(**config), policy, games, seed)


def village_wins(policy: Policy, **config: object) -> int:
    return sum(episode.outcome["winner"] == "village" for episode in episodes(policy, **config))


def interval(wins: int, games: int = GAMES, z: float = 2.58) -> tuple[float, float]:
    """Wilson's interval, 99%."""
    share = wins / games
    middle = (share + z * z / (2 * games)) / (1 + z * z / games)
    half = z * math.sqrt(share * (1 - share) / games + z * z / (4 * games**2)) / (1 + z * z / games)
    return middle - half, middle + half


# --- random -------------------------------------------------------------------


def test_random_policy_is_uniform_over_the_choices() -> None:
    env = started(1, first_phase="day", discussion_rounds=0)
    view = env.view(env.agent_selection)
    assert view.request is not None
    replies = RandomPolicy(3).act([view] * 3500)
    counts = Counter(replies)
    assert set(counts) == set(view.request.choices)
    assert all(abs(count - 500) < 4 * math.sqrt(500) for count in counts.values())
    assert replies == RandomPolicy(3).act([view] * 3500)
    assert replies != RandomPolicy(4).act([view] * 3500)


def test_random_policy_says_a_stock_phrase_and_never_errs() -> None:
    played = episodes(RandomPolicy(), 10)
    assert all(turn.valid for episode in played for turn in episode.turns)
    said = {m.text for episode in played for m in episode.messages if m.kind == "speech"}
    assert len(said) == 1


# --- scripted -----------------------------------------------------------------


@pytest.mark.parametrize("brief", [False, True])
def test_scripted_villagers_win_clearly_more_often_than_random_ones(brief: bool) -> None:
    style = "terse" if brief else "plain"
    config = {**QUIET_START, "prompt_style": style}
    scripted = interval(village_wins(ScriptedPolicy(1, brief=brief), **config))
    random = interval(village_wins(RandomPolicy(1), **config))
    assert scripted[0] > random[1], (scripted, random)


def test_scripted_villagers_win_more_often_than_random_ones_in_the_default_game() -> None:
    games = 300
    scripted, random = (
        sum(episode.outcome["winner"] == "village" for episode in episodes(policy, games)) / games
        for policy in (ScriptedPolicy(1), RandomPolicy(1))
    )
    spread = math.sqrt((scripted * (1 - scripted) + random * (1 - random)) / games)
    assert scripted - random > 2.58 * spread, (scripted, random)


def test_the_village_needs_the_talk() -> None:
    talking = interval(village_wins(ScriptedPolicy(1), **QUIET_START))
    muted = interval(village_wins(MutedPolicy(ScriptedPolicy(1)), **QUIET_START))
    assert talking[0] > muted[1], (talking, muted)


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_scripted_play_is_legal_and_reports_what_it_saw(noise: float) -> None:
    played = episodes(ScriptedPolicy(2, noise=noise), 30)
    assert all(turn.valid for episode in played for turn in episode.turns)
    claims = [
        m
        for episode in played
        for m in episode.messages
        if m.kind == "speech" and "I am the seer" in m.text
    ]
    assert claims


def test_seers_report_truly() -> None:
    for episode in episodes(ScriptedPolicy(3), 20):
        names = {seat.name: seat for seat in episode.seats}
        wolves = {seat.name for seat in episode.seats if seat.role == "werewolf"}
        (seer,) = [seat.agent for seat in episode.seats if seat.role == "seer"]
        for message in episode.messages:
            if message.sender == seer and message.text.startswith("I am the seer. "):
                accused = message.text.removeprefix("I am the seer. ").split(" is ")[0]
                assert accused in names
                assert ("not a werewolf" in message.text) == (accused not in wolves)


def test_wolves_lie_and_agree() -> None:
    played = episodes(ScriptedPolicy(4), 60)
    lies = kills = agreed = 0
    for episode in played:
        wolves = {seat.agent for seat in episode.seats if seat.role == "werewolf"}
        names = {seat.name for seat in episode.seats if seat.agent in wolves}
        phases = {stage.turn: stage.phase for stage in episode.stages}
        victims: dict[int, list[str]] = {}
        for turn in episode.turns:
            if turn.agent in wolves and phases[turn.turn] == "night":
                victims.setdefault(turn.turn, []).append(turn.text)
            if turn.agent in wolves and phases[turn.turn] == "discussion":
                lies += "I am the seer" in turn.text
            if turn.agent in wolves and phases[turn.turn] == "vote":
                assert turn.text not in names, "a wolf votes for its partner"
        for named in victims.values():
            if len(named) == 2:
                kills += 1
                agreed += named[0] == named[1]
    assert lies > 10
    assert kills > 60
    assert agreed / kills > 0.9


def test_noise_one_is_no_better_than_random() -> None:
    noisy = interval(village_wins(ScriptedPolicy(1, noise=1.0), **QUIET_START))
    random = interval(village_wins(RandomPolicy(1), **QUIET_START))
    assert noisy[0] <= random[1]
    assert random[0] <= noisy[1]


# --- muted --------------------------------------------------------------------


def test_muted_policy_says_one_phrase_and_passes_choices_on() -> None:
    inner = ScriptedPolicy(1)
    muted = MutedPolicy(inner, phrase="hm")
    assert muted.name == "scripted (muted)"
    for episode in episodes(muted, 5):
        for turn in episode.turns:
            assert turn.valid
            assert (turn.reply == "hm") == (turn.request.kind is SPEAK)


# --- human --------------------------------------------------------------------


def human(lines: Iterable[str]) -> tuple[HumanPolicy, list[str]]:
    shown: list[str] = []
    waiting = iter(lines)

    def ask(prompt: str) -> str:
        shown.append(prompt)
        try:
            return next(waiting)
        except StopIteration:
            raise EOFError from None

    return HumanPolicy(ask, shown.append), shown


def test_a_human_sees_each_message_once_and_is_asked_again() -> None:
    env = started(3, first_phase="day", discussion_rounds=1)
    policy, shown = human(["", "hello all", "who?", "abstain"])
    agent = env.agent_selection
    assert policy.act([env.view(agent)]) == ["hello all"]
    first = env.view(agent).messages
    assert shown[0] == first[0]["content"]
    assert shown[1] == first[1]["content"]
    assert shown[2] == f"{env.view(agent).name}> "
    assert "the reply is empty; try again" in shown
    env.step("hello all")
    while env.acting[0] != agent:
        env.step("words")
    del shown[:]
    assert policy.act([env.view(agent)]) == ["abstain"]
    assert shown[0] == env.view(agent).messages[-1]["content"]
    assert "hello all" not in "".join(shown)
    assert "the reply names none of the choices; try again" in shown


def test_a_human_whose_input_ends() -> None:
    env = started(3)
    policy, _ = human([])
    with pytest.raises(PolicyError, match="input ended"):
        policy.act([env.view(env.agent_selection)])


def test_a_human_among_bots() -> None:
    # Whoever is asked for a choice goes through the names until one is taken.
    policy, shown = human([f"I say {name}" for name in DEFAULT_NAMES] * 50)
    env = werewolf_v0.env(first_phase="day")
    episode = rollout.play(env, ScriptedPolicy(), 5, overrides={"player_2": policy})
    assert episode.seats[2].policy == "human"
    own = episode.turns_of("player_2")
    assert own
    assert all(turn.valid for turn in own)
    role = episode.seats[2].role
    assert f"Yours is {role}." in shown[0]


def test_bots_know_their_partners_only_if_wolves() -> None:
    env = started(1)
    for wolf in with_role(env, "werewolf"):
        assert len(env.view(wolf).facts["partners"]) == 1
