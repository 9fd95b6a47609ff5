"""Scripted Werewolf players: what they say, whom they believe, whom they name.

Stateless: all that a bot knows it reads from its view, so that any number of
games can be played at once, and so that claims made by models count as much as
those made by other bots.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from omar_envs.types import SPEAK, View
from omar_envs.werewolf.claims import Finding, read_speech

FAKE_CLAIM = 0.45
"""Probability that a wolf without a claim yet poses as the seer when it speaks."""


LIARS = ("werewolf", "possessed", "jester")
"""Roles that gain by being believed to be what they are not."""

OPEN = ("villager", "seer", "doctor")
"""Roles that say what they are when they have nothing to report."""


class Speech(NamedTuple):
    """How a bot words what it says."""

    brief: bool = False

    def report(self, name: str, wolf: bool) -> str:
        """A seer's claim and finding."""
        if self.brief:
            return f"I am seer {name} is {'werewolf' if wolf else 'good'}"
        return f"I am the seer. {name} is {'a werewolf' if wolf else 'not a werewolf'}."

    def suspect(self, name: str) -> str:
        """An accusation."""
        return f"I suspect {name}" if self.brief else f"I suspect {name}."

    def plan(self, name: str) -> str:
        """A wolf's proposal to the others."""
        return f"kill {name}" if self.brief else f"Let us kill {name}."

    def pass_(self, role: str) -> str:
        """Nothing to report."""
        return f"I am {role}" if self.brief else f"I am a {role}. I know nothing yet."


@dataclass
class Talk:
    """What has been claimed in public so far, by display name."""

    seer_claims: dict[str, list[Finding]] = field(default_factory=dict)
    suspicions: list[Finding] = field(default_factory=list)


def act(view: View, speech: Speech, rng: np.random.Generator, noise: float) -> str:
    """A bot's reply to its view; with probability ``noise`` one at random."""
    request = view.request
    if request is None:
        return ""
    talk = read_talk(view)
    random_act = rng.random() < noise
    if request.kind is SPEAK:
        if view.facts["phase"] == "wolf_chat":
            return speech.plan(_victim(view, talk, rng))
        return _speak(view, talk, speech, rng, random_act)
    if random_act:
        return _pick(request.choices, rng)
    match view.facts["phase"]:
        case "vote" | "shot":
            return _vote(view, talk, rng)
        case "bid":
            return _bid(view, talk, request.choices, rng)
    match view.role:
        case "werewolf":
            return _agreed_victim(view, talk, rng)
        case "doctor":
            believed = [name for name in talk.seer_claims if name in request.choices]
            return _pick(believed or request.choices, rng)
        case "witch":
            return _potion(view, talk, request.choices)
    unknown = [name for name in request.choices if name not in view.facts["investigations"]]
    return _pick(unknown or request.choices, rng)


def read_talk(view: View) -> Talk:
    """Claims and accusations in the public speech that the agent heard."""
    talk = Talk()
    players = tuple(view.facts["players"])
    for message in view.log:
        if message.kind != "speech" or message.audience is not None:
            continue
        said = read_speech(view.names[message.sender], message.text, players)
        if said.claims_seer:
            talk.seer_claims.setdefault(said.speaker, []).extend(said.findings)
        else:
            talk.suspicions.extend(said.findings)
        talk.suspicions.extend(said.suspicions)
    return talk


def suspicion(view: View, talk: Talk) -> dict[str, float]:
    """How much the agent suspects each living other player; higher is more."""
    facts = view.facts
    score: dict[str, float] = defaultdict(float)
    liars = _liars(view, talk)
    honest = [name for name in talk.seer_claims if name not in liars]
    for name in liars:
        score[name] += 4.0
    for name in honest:
        weight = 3.0 if len(honest) == 1 else 1.5
        for finding in talk.seer_claims[name]:
            score[finding.target] += weight if finding.wolf else -weight
        score[name] -= 1.0 if len(honest) == 1 else 0.0
    for finding in {f for f in talk.suspicions if f.speaker not in liars}:
        if finding.speaker != view.name:
            score[finding.target] += 0.5 if finding.wolf else -0.25
    for name, team in facts["investigations"].items():
        score[name] += 10.0 if team == "werewolf" else -10.0
    for name in facts["partners"]:
        score[name] -= 10.0 if view.role == "mason" else 0.0
    return {name: score[name] for name in facts["alive"] if name != view.name}


def _liars(view: View, talk: Talk) -> set[str]:
    """Players whose seer claim cannot be true, as far as this agent can tell."""
    revealed = {**view.facts["executed"], **view.facts["revealed"]}
    liars = set()
    for name, findings in talk.seer_claims.items():
        if name == view.name:
            continue
        if view.role == "seer" and view.facts["roles_in_play"].get("seer") == 1:
            liars.add(name)
        for finding in findings:
            shown = revealed.get(finding.target)
            if shown is not None and (shown == "werewolf") != finding.wolf:
                liars.add(name)
            if finding.target == view.name and finding.wolf and view.role != "werewolf":
                liars.add(name)
    return liars


def _speak(
    view: View, talk: Talk, speech: Speech, rng: np.random.Generator, random_act: bool
) -> str:
    facts = view.facts
    others = [name for name in facts["alive"] if name != view.name]
    if random_act:
        return speech.suspect(_pick(others, rng))
    if view.role == "seer" and facts["investigations"]:
        wolves = [n for n, team in facts["investigations"].items() if team == "werewolf"]
        living = [name for name in wolves if name in others]
        if living:
            return speech.report(living[-1], wolf=True)
        last = list(facts["investigations"])[-1]
        return speech.report(last, wolf=facts["investigations"][last] == "werewolf")
    if view.role in LIARS:
        return _lie(view, talk, speech, rng, others)
    scores = suspicion(view, talk)
    worst = max(scores.values(), default=0.0)
    if worst > 0.0:
        return speech.suspect(_pick([n for n in scores if scores[n] == worst], rng))
    return speech.pass_(view.role if view.role in OPEN else "villager")


def _lie(
    view: View, talk: Talk, speech: Speech, rng: np.random.Generator, others: Sequence[str]
) -> str:
    own = talk.seer_claims.get(view.name, [])
    targets = [name for name in others if name not in view.facts["partners"]] or others
    rivals = [name for name in talk.seer_claims if name in targets]
    victim = _pick(rivals or targets, rng)
    if own:
        standing = [f.target for f in own if f.wolf and f.target in targets]
        return speech.report(standing[-1] if standing else victim, wolf=True)
    partner_claims = any(name in view.facts["partners"] for name in talk.seer_claims)
    if not partner_claims and rng.random() < FAKE_CLAIM:
        return speech.report(victim, wolf=True)
    return speech.suspect(victim) if rng.random() < 0.5 else speech.pass_("villager")


def _vote(view: View, talk: Talk, rng: np.random.Generator) -> str:
    assert view.request is not None
    told = suspicion(view, talk)
    scores = {name: told[name] for name in view.request.choices if name in told}
    if view.role in ("werewolf", "possessed"):
        scores = {n: s for n, s in scores.items() if n not in view.facts["partners"]}
        for name in talk.seer_claims:
            if name in scores:
                scores[name] += 1.0
    if not scores:
        return _pick(view.request.choices, rng)
    worst = max(scores.values())
    return _pick([name for name, score in scores.items() if score == worst], rng)


def _bid(view: View, talk: Talk, choices: Sequence[str], rng: np.random.Generator) -> str:
    if "werewolf" in view.facts["investigations"].values():
        return choices[-1]
    keen = max(suspicion(view, talk).values(), default=0.0) > 0.0
    return choices[int(rng.integers(3)) + keen]


def _potion(view: View, talk: Talk, choices: Sequence[str]) -> str:
    """Heals the victim if there is one, poisons only on strong suspicion, else passes."""
    if view.facts["victim"] is not None:
        return str(view.facts["victim"])
    scores = {name: s for name, s in suspicion(view, talk).items() if name in choices}
    worst = max(scores, key=lambda name: scores[name], default=choices[-1])
    return worst if scores.get(worst, 0.0) >= 3.0 else choices[-1]


def _victim(view: View, talk: Talk, rng: np.random.Generator) -> str:
    prey = [n for n in view.facts["alive"] if n != view.name and n not in view.facts["partners"]]
    return _pick([name for name in talk.seer_claims if name in prey] or prey, rng)


def _agreed_victim(view: View, talk: Talk, rng: np.random.Generator) -> str:
    assert view.request is not None
    proposed = re.compile(r"kill ({})\b".format("|".join(map(re.escape, view.request.choices))))
    # Words of this night only: those after the last announcement to everyone.
    tonight: list[str] = []
    for message in view.log:
        if message.kind == "event" and message.audience is None:
            tonight.clear()
        elif message.kind == "speech" and message.audience is not None:
            tonight += proposed.findall(message.text)
    if not tonight:
        return _victim(view, talk, rng)
    counts = Counter(tonight)
    most = max(counts.values())
    # All wolves hear the same words, so the first in the alphabet is common ground.
    return min(name for name, count in counts.items() if count == most)


def _pick(options: Iterable[str], rng: np.random.Generator) -> str:
    ordered = list(options)
    return ordered[int(rng.integers(len(ordered)))]
