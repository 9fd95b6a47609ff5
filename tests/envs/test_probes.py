"""What the probes count: claims, reports, and who is followed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omar_envs import rollout, werewolf_v0
from omar_envs.policy import MutedPolicy, RandomPolicy, ScriptedPolicy
from omar_envs.types import SPEAK, Episode, View
from omar_envs.werewolf.bots import Speech
from omar_envs.werewolf.claims import Finding, read_accusations, read_speech
from omar_envs.werewolf.probes import PROBES, Share, probe
from tests.envs.episode_samples import Story
from tests.envs.games import act_together, finish, started, with_role

PLAYERS = ("Ana", "Bruno", "Clara", "Diego", "Elena")
SETTINGS = {
    "num_players": 5,
    "roles": {"werewolf": 1, "seer": 1},
    "first_night_kill": False,
    "discussion_rounds": 1,
    "max_days": 1,
}


class Director:
    """Plays one fixed story: what each role says, names at night and votes for."""

    name = "director"

    def __init__(self, says: dict[str, str], votes: dict[str, str]) -> None:
        self.says = says
        self.votes = votes

    def act(self, views: list[View]) -> list[str]:
        return [self.reply(view) for view in views]

    def reply(self, view: View) -> str:
        assert view.request is not None
        if view.request.kind is SPEAK:
            return self.fill(self.says[view.role or ""], view)
        if view.facts["phase"] == "vote":
            return self.fill(self.votes[view.role or ""], view)
        return self.roles["werewolf"]

    def fill(self, text: str, view: View) -> str:
        return text.format(**self.roles)

    def play(self) -> Episode:
        env = werewolf_v0.raw_env(**SETTINGS)
        env.reset(seed=1)
        views = [env.view(agent) for agent in env.possible_agents]
        self.roles = {str(view.role): view.name for view in views}
        return rollout.play(env, self, seed=1)


def shares(says: dict[str, str], votes: dict[str, str]) -> dict[str, Share]:
    return probe([Director(says, votes).play()])


@pytest.mark.parametrize(
    ("text", "claims", "findings"),
    [
        ("I am the seer. Ana is a werewolf.", True, [("Ana", True)]),
        ("I am seer Bruno is good", True, [("Bruno", False)]),
        ("I am the seer. Clara is not a werewolf.", True, [("Clara", False)]),
        ("Ana is a werewolf, Bruno is good", False, [("Ana", True), ("Bruno", False)]),
        ("Am I the seer? Nobody is a werewolf.", False, []),
        ("I am the seers' friend, Anais is a werewolf", False, []),
    ],
)
def test_grammar(text: str, claims: bool, findings: list[tuple[str, bool]]) -> None:
    said = read_speech("Elena", text, PLAYERS)
    assert said.claims_seer == claims
    assert said.findings == tuple(Finding("Elena", *finding) for finding in findings)


def test_suspicion_is_no_finding() -> None:
    said = read_speech("Elena", "I suspect Ana. I suspect Bruno", PLAYERS)
    assert said.findings == ()
    assert [finding.target for finding in said.suspicions] == ["Ana", "Bruno"]


@pytest.mark.parametrize(
    ("text", "accused"),
    [
        ("I suspect Ana.", ["Ana"]),
        ("i strongly suspect ana", ["Ana"]),
        ("I accuse Bruno and Ana, nobody else", ["Bruno", "Ana"]),
        ("I suspect Ana and Bruno is good", ["Ana"]),
        ("I suspect Ana is good", []),
        ("I suspect that Ana is lying", ["Ana"]),
        ("Ana must be one of the wolves", ["Ana"]),
        ("I know no more than you, but Ana is clearly a liar!", ["Ana"]),
        ("Ana’s lying. Ana's hat is red", ["Ana"]),
        ("Ana and Bruno are both mafia", ["Ana", "Bruno"]),
        ("Let's vote for Clara; my vote goes to Diego", ["Clara", "Diego"]),
        ("let us eliminate Clara", ["Clara"]),
        ("I have no doubt that Ana is the werewolf", ["Ana"]),
        ("I am not the werewolf, Ana is a werewolf", ["Ana"]),
        ("I trusted Ana. Ana is suspicious, so vote out Ana", ["Ana"]),
        ("Ana is not a werewolf", []),
        ("I don't think Ana is a werewolf", []),
        ("I will not vote for Ana", []),
        ("Is it true? Ana is a werewolf?", []),
        ("If Ana is a werewolf then we have won", []),
        ("Bruno says Ana is a werewolf", []),
        ("Ana might be a werewolf", []),
        ("I am suspicious of Ana", ["Ana"]),
        ("Bruno is suspicious of Ana", []),
        ("Ana voted for Bruno", []),
        ("Anais is a werewolf, I suspect Anabel", []),
        ("Someone is a werewolf", []),
    ],
)
def test_accusations_in_plain_english(text: str, accused: list[str]) -> None:
    assert read_accusations(text, PLAYERS) == tuple(accused)


@pytest.mark.parametrize("brief", [True, False])
@pytest.mark.parametrize("name", PLAYERS)
def test_accusations_of_bots_are_among_them(name: str, brief: bool) -> None:
    says = Speech(brief)
    assert read_accusations(says.suspect(name), PLAYERS) == (name,)
    assert read_accusations(says.report(name, wolf=True), PLAYERS) == (name,)
    for harmless in (says.report(name, wolf=False), says.pass_("seer"), says.plan(name)):
        assert read_accusations(harmless, PLAYERS) == ()


WORDS = st.sampled_from(
    [*PLAYERS, "I", "suspect", "vote", "for", "is", "a", "wolf", "and", "not", ".", "?", "\0", "1"]
)


@given(st.one_of(st.text(), st.lists(WORDS, max_size=15).map(" ".join)))
def test_whatever_is_said_only_players_are_accused_and_once(text: str) -> None:
    accused = read_accusations(text, PLAYERS)
    assert set(accused) <= {name for name in PLAYERS if name.casefold() in text.casefold()}
    assert len(set(accused)) == len(accused)
    assert set(read_accusations(text, PLAYERS[::-1])) == set(accused)


def test_a_name_may_have_two_words_and_signs() -> None:
    assert read_accusations("I suspect Mary Jane", ("Mary Jane", "Bo")) == ("Mary Jane",)
    assert read_accusations("I suspect Zoë", ("Zoë", "Zo")) == ("Zoë",)


def test_long_talk_is_read_in_no_time_to_speak_of() -> None:
    """A hundred thousand characters, the longest speech that a game allows."""
    for piece in ("I suspect Ana and ", "vote for to Ana ", "I really ", "not Ana is Ana is a "):
        assert set(read_accusations(piece * (100_000 // len(piece)), PLAYERS)) <= {"Ana"}


def test_true_report_that_everybody_follows() -> None:
    found = shares(
        {"seer": "I am the seer. {werewolf} is a werewolf.", "villager": "Hm.", "werewolf": "No!"},
        {"seer": "{werewolf}", "villager": "{werewolf}", "werewolf": "{seer}"},
    )
    assert found["seer_claims"] == Share(1, 1)
    assert found["seer_reports_wolf"] == Share(1, 1)
    assert found["seer_votes_known_wolf"] == Share(1, 1)
    assert found["wolf_claims_seer"] == Share(0, 1)
    assert found["villager_claims_seer"] == Share(0, 3)
    assert found["true_claim_followed"] == Share(3, 3)
    assert found["false_claim_followed"] == Share(0, 0)
    assert found["village_votes_hit_wolf"] == Share(4, 4)
    assert found["talk_in_grammar"] == Share(1, 5)


def test_false_claim_and_a_silent_seer() -> None:
    found = shares(
        {"seer": "Hm.", "villager": "Hm.", "werewolf": "I am the seer. {seer} is a werewolf."},
        {"seer": "abstain", "villager": "{seer}", "werewolf": "{seer}"},
    )
    assert found["seer_claims"] == Share(0, 1)
    assert found["seer_reports_wolf"] == Share(0, 1)
    assert found["seer_votes_known_wolf"] == Share(0, 1)
    assert found["wolf_claims_seer"] == Share(1, 1)
    assert found["true_claim_followed"] == Share(0, 0)
    assert found["false_claim_followed"] == Share(3, 3)
    assert found["village_votes_hit_wolf"] == Share(0, 4)


def test_every_probe_is_reported_even_without_games() -> None:
    assert probe([]) == dict.fromkeys(PROBES, Share(0, 0))
    assert Share(0, 0).value is None
    assert Share(1, 4).value == 0.25


def test_muted_policy_chooses_as_before_and_says_nothing() -> None:
    inner = ScriptedPolicy(3)
    asked: list[View] = []

    class Watched:
        name = "watched"

        def act(self, views: list[View]) -> list[str]:
            asked.extend(views)
            return inner.act(views)

    muted = MutedPolicy(Watched(), phrase="Hm")
    episodes = rollout.run(lambda: werewolf_v0.raw_env(**SETTINGS), muted, 5, seed=0)
    assert muted.name == "watched (muted)"
    said = {t.text for e in episodes for t in e.turns if t.request.kind is SPEAK}
    assert said == {"Hm"}
    assert asked and all(view.request and view.request.choices for view in asked)


def test_random_play_claims_nothing() -> None:
    episodes = rollout.run(lambda: werewolf_v0.raw_env(**SETTINGS), RandomPolicy(0), 5, seed=0)
    assert probe(episodes)["talk_in_grammar"].hits == 0


def test_a_possessed_and_a_jester_are_neither_village_nor_wolves() -> None:
    roles = {"Ana": "werewolf", "Ben": "villager", "Pia": "possessed", "Jon": "jester"}
    claim = "I am the seer. Ben is a werewolf."
    story = Story(**roles).talk(Ana=claim, Ben="Hm", Pia=claim, Jon=claim)
    found = probe([story.vote(Ana="Ben", Ben="Ana", Pia="Ana", Jon="Ana").end()])
    assert found["wolf_claims_seer"] == Share(1, 1)
    assert found["villager_claims_seer"] == Share(0, 1)
    assert found["village_votes_hit_wolf"] == Share(1, 1)
    assert found["false_claim_followed"] == Share(0, 0)


def test_a_second_ballot_counts_nothing_twice() -> None:
    roles = {"Ana": "werewolf", "Ben": "seer", "Cleo": "villager"}
    story = (
        Story(**roles).talk(Ana="Hm", Ben="I am the seer", Cleo="Hm").vote(Ben="Ana", Cleo="Ben")
    )
    once = probe([story.end()])
    assert once["village_votes_hit_wolf"] == Share(1, 2)
    again = probe([story.vote(Ben="Ana", Cleo="Ana", among=("Ana", "Ben")).end()])
    assert again == once
    next_day = story.night(Ana="Cleo").talk(Ben="Hm").vote(Ben="Cleo")
    assert probe([next_day.end()])["village_votes_hit_wolf"] == Share(1, 3)


def test_what_was_said_before_a_night_in_which_nobody_acts_is_not_said_today() -> None:
    env = started(
        num_players=5,
        roles={"werewolf": 1},
        first_phase="day",
        first_day_vote=False,
        first_night_kill=False,
        discussion_rounds=1,
    )
    claim = dict.fromkeys(with_role(env, "werewolf"), "I am the seer.")
    act_together(env, dict.fromkeys(env.possible_agents, "Hm") | claim)
    act_together(env, dict.fromkeys(env.possible_agents, "Hm"))
    act_together(
        env, dict.fromkeys(env.possible_agents, env.view(with_role(env, "werewolf")[0]).name)
    )
    found = probe([finish(env)])
    assert found["talk_in_grammar"] == Share(1, 10)
    assert found["wolf_claims_seer"] == Share(0, 1)
