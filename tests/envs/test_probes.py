"""What the probes count: claims, reports, and who is followed."""

from __future__ import annotations

import pytest

from omar_envs import rollout, werewolf_v0
from omar_envs.policy import MutedPolicy, RandomPolicy, ScriptedPolicy
from omar_envs.types import SPEAK, Episode, View
from omar_envs.werewolf.claims import Finding, read_speech
from omar_envs.werewolf.probes import PROBES, Share, probe

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
