"""Talk, votes and roles as the agents see them: who is asked what, and who hears what."""

from __future__ import annotations

from typing import Any

import pytest

from omar_envs import rollout, werewolf_v0
from omar_envs.conversation import ConversationEnv
from omar_envs.errors import ConfigError
from omar_envs.types import CHOOSE, SPEAK, Episode, JudgeResult, JudgeStatus, Request
from omar_envs.werewolf.presets import PRESETS
from omar_envs.werewolf.roles import ROLE_CLASSES
from tests.envs.games import (
    act_together,
    everything,
    finish,
    name_of,
    phase,
    play_until,
    started,
    step,
    with_role,
)


def request_of(env: ConversationEnv, agent: str) -> Request:
    request = env.view(agent).request
    assert request is not None
    return request


def to_phase(env: ConversationEnv, wanted: str) -> None:
    if phase(env)[1] != wanted:
        play_until(env, wanted)


def one(env: ConversationEnv, role: str) -> str:
    return with_role(env, role)[0]


def everybody_votes(env: ConversationEnv, target: str) -> None:
    name = name_of(env, target)
    act_together(env, lambda view: name if name in view.request.choices else "abstain")


def peaceful(roles: dict[str, int], **settings: Any) -> ConversationEnv:
    """Nine players on the morning of a first day on which all live."""
    env = started(num_players=9, roles=roles, first_phase="day", discussion_rounds=0, **settings)
    assert phase(env) == (1, "vote")
    return env


def heard(env: ConversationEnv, agent: str, text: str) -> bool:
    return any(text in message.text for message in env.view(agent).log)


# --- discussions --------------------------------------------------------------


def test_bidding_asks_all_in_secret_and_gives_the_floor_to_one() -> None:
    env = started(num_players=6, first_phase="day", discussion="bidding", discussion_rounds=2)
    speakers = []
    for number in (1, 2):
        assert phase(env) == (1, "bid")
        assert set(env.acting) == set(env.possible_agents)
        keen = env.possible_agents[2 * number]
        assert request_of(env, keen).choices == ("0", "1", "2", "3", "4")
        assert request_of(env, keen).kind is CHOOSE
        act_together(env, lambda view, keen=keen: "4" if view.agent == keen else "1")
        assert phase(env) == (1, "discussion")
        assert env.acting == (keen,)
        for agent in env.possible_agents:
            own = [m.sender for m in env.view(agent).log if "bids" in m.text]
            assert own == [agent] * number
        speakers.append(keen)
        env.step(f"speech {number}")
        for agent in env.possible_agents:
            assert heard(env, agent, f"speech {number}")
    assert phase(env) == (1, "vote")


def test_a_tied_bid_goes_to_whom_the_last_speech_named() -> None:
    env = started(num_players=6, first_phase="day", discussion="bidding", discussion_rounds=3)
    first, named, other = env.possible_agents[0], env.possible_agents[3], env.possible_agents[5]
    act_together(env, lambda view: "4" if view.agent == first else "0")
    env.step(
        f"{name_of(env, other)} is quiet, and I, {name_of(env, first)}, ask "
        f"{name_of(env, named).upper()}."
    )
    act_together(env, lambda view: "3")
    assert env.acting == (named,)
    env.step("I name nobody.")
    act_together(env, lambda view: "2" if view.agent in (first, other) else "?")
    assert env.acting == (other,)  # named before, and first only by itself


def test_a_bid_that_cannot_be_read_is_nought() -> None:
    env = started(num_players=6, first_phase="day", discussion="bidding", invalid_penalty=0.5)
    act_together(env, lambda view: "1" if view.agent == "player_4" else "very much")
    assert env.acting == ("player_4",)
    assert env.infos["player_0"]["invalid_actions"] == 1


def test_random_order_lets_all_speak_one_after_another() -> None:
    env = started(4, num_players=7, first_phase="day", discussion="random_order")
    orders = []
    for _ in range(2):
        order = []
        for _ in range(7):
            (speaker,) = env.acting
            order.append(speaker)
            env.step(f"I am {speaker}")
            assert all(heard(env, agent, f"I am {speaker}") for agent in env.possible_agents)
        orders.append(order)
    assert sorted(orders[0]) == sorted(orders[1]) == env.possible_agents
    assert orders[0] != orders[1]


def test_a_speech_budget_is_a_days_and_then_one_is_not_asked() -> None:
    env = started(
        num_players=6,
        first_phase="day",
        discussion="round_robin",
        discussion_rounds=3,
        max_speech_chars=8,
        speech_budget=10,
    )
    talker = env.possible_agents[0]
    budgets = []
    while phase(env) == (1, "discussion"):
        agent = env.agent_selection
        if agent == talker:
            budgets.append(request_of(env, agent).max_chars)
        env.step("x" * 50 if agent == talker else "hi")
    assert budgets == [8, 2]
    said = [m.text for m in env.view(talker).log if m.sender == talker and m.kind == "speech"]
    assert said == ["x" * 8, "x" * 2]
    everybody_votes(env, env.possible_agents[1])
    if not env.over:
        play_until(env, "discussion")
        assert request_of(env, env.agent_selection).max_chars == 8


def test_silence_is_allowed_only_where_it_is() -> None:
    for allowed in (True, False):
        env = started(num_players=6, first_phase="day", allow_silence=allowed)
        assert request_of(env, "player_0").may_pass is allowed
        assert ("pass" in request_of(env, "player_0").instruction) is allowed
        act_together(env, {"player_1": "Pass.", "player_2": "<think>no</think>", "player_3": "hm"})
        invalid = {a: env.infos[a]["invalid_actions"] for a in env.possible_agents}
        silent = {"player_0", "player_2", "player_4", "player_5"}
        assert invalid == {a: int(a in silent and not allowed) for a in env.possible_agents}
        speech = [m.text for m in env.view("player_0").log if m.kind == "speech"]
        assert speech == (["hm"] if allowed else ["Pass.", "hm"])


# --- last words ---------------------------------------------------------------


@pytest.mark.parametrize("mode", ["none", "day", "all"])
def test_last_words(mode: str) -> None:
    env = peaceful({"werewolf": 2}, last_words=mode, reveal_on_death="none")
    out = one(env, "villager")
    everybody_votes(env, out)
    if mode != "none":
        assert env.acting == (out,)
        assert phase(env) == (1, "last_words")
        assert env.infos[out]["alive"]
        assert heard(env, "player_0", f"{name_of(env, out)} was voted out")
        assert request_of(env, out).kind is SPEAK
        env.step("avenge me")
        assert all(heard(env, agent, "avenge me") for agent in env.possible_agents)
    assert not env.infos[out]["alive"]
    to_phase(env, "night")
    victim = next(agent for agent in with_role(env, "villager") if agent != out)
    act_together(env, lambda view: name_of(env, victim))
    assert heard(env, "player_0", f"{name_of(env, victim)} was killed")
    assert (env.acting == (victim,)) == (mode == "all")


# --- votes --------------------------------------------------------------------


def test_sequential_votes_are_seen_as_they_are_cast() -> None:
    env = peaceful({"werewolf": 2}, voting="sequential")
    first, second = env.possible_agents[:2]
    assert env.acting == (first,)
    assert "All see your vote" in request_of(env, first).instruction
    env.step(name_of(env, "player_5"))
    assert env.acting == (second,)
    assert heard(env, second, f"votes for {name_of(env, 'player_5')}")


def test_votes_may_stay_secret_for_good() -> None:
    env = peaceful({"werewolf": 2}, show_votes=False)
    assert "Nobody ever sees your vote" in request_of(env, "player_0").instruction
    out = env.possible_agents[3]
    everybody_votes(env, out)
    assert heard(env, "player_0", f"{name_of(env, out)} was voted out")
    for agent in env.possible_agents:
        seen = [m.sender for m in env.view(agent).log if m.kind == "action"]
        assert seen == [agent]


def test_a_seer_that_learns_roles_is_told_the_role() -> None:
    env = started(num_players=9, roles={"werewolf": 2, "seer": 1, "witch": 1}, seer_learns="role")
    seer, witch = one(env, "seer"), one(env, "witch")
    to_phase(env, "night")
    act_together(env, {seer: name_of(env, witch)})
    assert env.view(seer).facts["investigations"] == {name_of(env, witch): "witch"}
    assert heard(env, seer, f"{name_of(env, witch)} is a witch")
    assert not any(heard(env, a, "is a witch") for a in env.possible_agents if a != seer)
    assert "learns the role" in env.observe("player_0")["text"]


def test_a_revote_names_the_tied_and_offers_only_them() -> None:
    env = peaceful({"werewolf": 2}, vote_tie="revote")
    one_, two = env.possible_agents[3:5]
    votes = {one_: name_of(env, two), two: name_of(env, one_)}
    act_together(env, lambda view: votes.get(view.agent, "abstain"))
    tied = [name_of(env, agent) for agent in (one_, two)]
    assert heard(env, "player_8", f"between {tied[0]}, {tied[1]}")
    assert phase(env) == (1, "vote")
    assert request_of(env, "player_8").choices == (*tied, "abstain")
    assert request_of(env, one_).choices == (tied[1], "abstain")
    everybody_votes(env, two)
    assert not env.infos[two]["alive"]
    assert env.infos[one_]["alive"]


def test_reveal_takes_a_pair_for_night_and_day() -> None:
    for night, day in (("none", "role"), ("role", "none"), ("team", "none"), ("none", "team")):
        env = peaceful({"werewolf": 2, "possessed": 1}, reveal_on_death=[night, day])
        out = one(env, "possessed")
        everybody_votes(env, out)
        by_day = {
            "none": {},
            "role": {name_of(env, out): "possessed"},
            "team": {name_of(env, out): "village"},
        }[day]
        assert env.view("player_0").facts["revealed"] == by_day
        to_phase(env, "night")
        victim = one(env, "villager")
        act_together(env, dict.fromkeys(env.possible_agents, name_of(env, victim)))
        by_night = {"none": None, "role": "villager", "team": "village"}[night]
        assert env.view("player_0").facts["revealed"].get(name_of(env, victim)) == by_night
        assert env.config["reveal_on_death"] == [night, day]


# --- roles --------------------------------------------------------------------


def test_the_witch_alone_is_told_the_victim_and_what_it_did() -> None:
    env = started(num_players=9, roles={"werewolf": 2, "witch": 1}, wolf_chat_rounds=0)
    witch, prey, other = one(env, "witch"), *with_role(env, "villager")[:2]
    act_together(env, lambda view: name_of(env, prey))
    assert env.acting == (witch,)
    request = request_of(env, witch)
    assert f"chose {name_of(env, prey)}" in request.instruction
    assert request.choices[-1] == "pass"
    assert env.view(witch).facts["victim"] == name_of(env, prey)
    for agent in env.possible_agents:
        if agent != witch:
            assert env.view(agent).facts["victim"] is None
    env.step(f"I poison {name_of(env, other)}")
    dead = [agent for agent in env.possible_agents if not env.infos[agent]["alive"]]
    assert sorted(dead) == sorted((prey, other))
    for agent in env.possible_agents:
        assert heard(env, agent, "potion") == (agent == witch)
        assert heard(env, agent, f"{name_of(env, other)} was killed in the night")


def test_the_hunter_shoots_in_public_and_what_is_revealed_follows_the_time_of_day() -> None:
    env = peaceful({"werewolf": 2, "hunter": 1}, reveal_on_death=["none", "role"])
    hunter, prey = one(env, "hunter"), one(env, "werewolf")
    everybody_votes(env, hunter)
    assert phase(env) == (1, "shot")
    assert env.acting == (hunter,)
    assert name_of(env, hunter) not in request_of(env, hunter).choices
    env.step(name_of(env, prey))
    for agent in env.possible_agents:
        assert heard(env, agent, f"{name_of(env, prey)} was shot. {name_of(env, prey)} was a were")
    assert [d["cause"] for d in finish(env).outcome["deaths"]][:2] == ["voted_out", "shot"]


def test_an_unreadable_shot_hits_somebody_by_the_seed() -> None:
    env = peaceful({"werewolf": 2, "hunter": 1})
    everybody_votes(env, one(env, "hunter"))
    env.step("I shoot nobody at all")
    assert sum(not env.infos[agent]["alive"] for agent in env.possible_agents) == 2


def test_the_medium_hears_of_the_executed_and_nobody_else_does() -> None:
    env = peaceful({"werewolf": 2, "medium": 1}, reveal_on_death="none")
    medium, wolf = one(env, "medium"), one(env, "werewolf")
    everybody_votes(env, wolf)
    assert env.view(medium).facts["executed"] == {name_of(env, wolf): "werewolf"}
    for agent in env.possible_agents:
        assert heard(env, agent, f"{name_of(env, wolf)} is a werewolf") == (agent == medium)
        if agent != medium:
            assert env.view(agent).facts["executed"] == {}


def test_masons_are_told_of_one_another_and_the_possessed_of_nobody() -> None:
    env = peaceful({"werewolf": 2, "mason": 2, "possessed": 1})
    one_, two = with_role(env, "mason")
    assert env.view(one_).facts["partners"] == [name_of(env, two)]
    assert f"fellow masons: {name_of(env, two)}" in env.observe(one_)["text"]
    assert env.view(one(env, "possessed")).facts["partners"] == []
    assert "You are the only werewolf" not in env.observe(one(env, "possessed"))["text"]
    for wolf in with_role(env, "werewolf"):
        assert name_of(env, one(env, "possessed")) not in env.view(wolf).facts["partners"]


def test_the_idiot_is_shown_and_stays_without_a_vote() -> None:
    env = peaceful({"werewolf": 2, "idiot": 1}, reveal_on_death="none")
    idiot = one(env, "idiot")
    everybody_votes(env, idiot)
    assert env.infos[idiot]["alive"]
    assert env.view("player_0").facts["revealed"] == {name_of(env, idiot): "idiot"}
    assert heard(env, "player_0", "is the idiot, and stays")
    to_phase(env, "vote")
    if env.infos[idiot]["alive"]:
        assert idiot not in env.acting


def test_a_jester_who_is_voted_out_wins_alone() -> None:
    env = peaceful({"werewolf": 2, "jester": 1})
    jester = one(env, "jester")
    everybody_votes(env, jester)
    episode = env.episode()
    assert (episode.outcome["winner"], episode.terminated) == ("jester", True)
    assert {a: episode.total_reward(a) for a in env.possible_agents} == {
        a: 1.0 if a == jester else -1.0 for a in env.possible_agents
    }


def test_everybody_is_told_what_the_roles_in_play_do_and_no_others() -> None:
    env = peaceful({"werewolf": 2, "witch": 1, "mayor": 1}, mayor_vote="tiebreak")
    for agent in env.possible_agents:
        text = env.observe(agent)["text"]
        assert "- witch: has two potions" in text
        assert "decides between the tied" in text
        assert "seer" not in text


# --- personas -----------------------------------------------------------------


def test_personas_are_dealt_by_the_seed_and_told_to_their_own_player_only() -> None:
    personas = [f"zq{i}zq likes to talk." for i in range(7)]
    dealt = set()
    for seed in range(20):
        env = started(seed, num_players=6, personas=personas)
        for agent in env.possible_agents:
            told = [p for p in personas if p in env.observe(agent)["text"]]
            assert len(told) == 1
            assert everything(env, agent).count(b"zq likes") == everything(env, agent).count(
                told[0].split()[0].encode() + b" likes"
            )
            dealt.add((agent, told[0]))
        assert env.config["personas"] == personas
    assert len(dealt) > 30
    assert "Your persona: You" in started(personas="default").observe("player_0")["text"]


@pytest.mark.parametrize(
    ("personas", "reason"),
    [
        (["a"], "7 players need as many personas: got 1"),
        ("grumpy", "or 'default': got 'grumpy'"),
        (["a\nb"] * 7, "one line of text"),
        ([""] * 7, "one line of text"),
        (["\ud800"] * 7, "one line of text"),
        (["\x00"] * 7, "one line of text"),
        ({"a", "b"}, "must be a list of texts"),
    ],
)
def test_impossible_personas(personas: Any, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        started(personas=personas)


# --- settings -----------------------------------------------------------------


def test_an_unknown_setting_is_answered_with_the_nearest() -> None:
    with pytest.raises(TypeError, match="no setting 'disscussion'; did you mean 'discussion'"):
        started(disscussion="bidding")


@pytest.mark.parametrize("penalty", ["invalid_penalty", "format_penalty", "length_penalty"])
def test_zero_sum_excludes_penalties(penalty: str) -> None:
    with pytest.raises(ConfigError, match=f"zero_sum=True excludes {penalty}"):
        started(zero_sum=True, **{penalty: 0.1})


def test_zero_sum_games_sum_to_zero() -> None:
    for seed in range(10):
        env = started(seed, zero_sum=True, num_players=8, roles={"werewolf": 2, "jester": 1})
        episode = finish(env)
        total = sum(episode.total_reward(agent) for agent in env.possible_agents)
        assert total == pytest.approx(0.0, abs=1e-9)


def test_all_settings_go_into_the_config_and_make_the_same_game_again() -> None:
    config: dict[str, Any] = {
        "num_players": 15,
        "roles": {"werewolf": 3, "witch": 1, "hunter": 1, "mason": 2, "mayor": 1, "seer": 1},
        "discussion": "bidding",
        "speech_budget": 30,
        "allow_silence": True,
        "last_words": "all",
        "personas": "default",
        "voting": "sequential",
        "vote_tie": "revote",
        "revote_tie": "random",
        "reveal_on_death": ["team", "none"],
        "doctor_repeat_save": False,
        "mayor_vote": "tiebreak",
        "outcome_reward": "win_only",
    }
    env = started(3, **config)
    again = started(3, **env.config)
    assert again.config == env.config
    assert set(config) <= set(env.config)
    assert finish(env) == finish(again)


def test_what_the_witch_may_choose_is_read_leniently() -> None:
    env = started(num_players=9, roles={"werewolf": 2, "witch": 1}, wolf_chat_rounds=0)
    witch, prey = one(env, "witch"), one(env, "villager")
    act_together(env, lambda view: name_of(env, prey))
    assert env.acting == (witch,)
    env.step("I do not like this, so: PASS")
    assert env.infos[witch]["invalid_actions"] == 0
    assert not env.infos[prey]["alive"]


def test_a_view_of_the_dying_says_alive_until_all_that_follows_is_done() -> None:
    env = peaceful({"werewolf": 2, "hunter": 1}, last_words="day")
    hunter = one(env, "hunter")
    everybody_votes(env, hunter)
    for wanted in ("last_words", "shot"):
        assert phase(env)[1] == wanted
        assert env.infos[hunter]["alive"]
        step(env)
    assert not env.infos[hunter]["alive"]


def test_the_environments_page_names_every_setting_every_role_and_every_preset() -> None:
    page = werewolf_v0.__doc__ or ""
    settings = set(started().config) | {"preset", "judge", "render_mode"}
    described = page.split("Arguments\n")[1]
    heads = {
        name
        for line in described.splitlines()
        if line[:1].isalpha() and " : " in line
        for name in line.split(" : ")[0].split(", ")
    }
    assert heads == settings
    assert all(f"``{role}``" in page for role in ROLE_CLASSES)
    assert all(f"``{preset}``" in page for preset in PRESETS)


class Fixed:
    """Gives everybody the same scores, or none."""

    def __init__(self, status: JudgeStatus = "ok") -> None:
        self.status = status

    def judge(self, episode: Episode) -> JudgeResult:
        scores = {seat.agent: {"wit": 3.0, "calm": 1.0} for seat in episode.seats}
        return JudgeResult(self.status, scores if self.status == "ok" else None)


def test_a_judge_pays_beside_the_outcome_and_a_failed_one_is_not_a_zero() -> None:
    for status in ("ok", "failed", "refused"):
        env = werewolf_v0.raw_env(judge=Fixed(status), judge_weight=0.5)
        env.reset(seed=1)
        episode = finish(env)
        for agent in env.possible_agents:
            assert episode.rewards[agent]["judge"] == (1.0 if status == "ok" else None)
            outcome = episode.rewards[agent]["outcome"]
            assert episode.total_reward(agent) == outcome + (1.0 if status == "ok" else 0.0)
            assert env.infos[agent]["judge_status"] == status
        assert rollout.replay(episode) == episode
    with pytest.raises(ConfigError, match="zero_sum=True excludes judge"):
        werewolf_v0.raw_env(judge=Fixed(), zero_sum=True)


def test_form_and_length_are_paid_in_components_of_their_own() -> None:
    env = peaceful({"werewolf": 2}, format_penalty=0.5, length_penalty=0.25)
    name = name_of(env, "player_3")
    act_together(env, lambda view: f"I vote for {name}" if view.agent == "player_0" else "abstain")
    assert env.infos["player_0"]["reward_components"]["format"] == -0.5
    assert env.infos["player_1"]["reward_components"]["format"] == 0.0
    env = started(first_phase="day", max_speech_chars=10, format_penalty=0.5, length_penalty=0.25)
    act_together(env, {"player_0": "x" * 20, "player_1": "12345", "player_2": ""})
    paid = [env.infos[f"player_{i}"]["reward_components"] for i in range(3)]
    assert [(parts["format"], parts["length"]) for parts in paid] == [
        (-0.5, -0.25),
        (0.0, -0.125),
        (0.0, 0.0),
    ]
