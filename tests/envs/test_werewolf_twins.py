"""Two games that differ only in something private look the same to everybody who may not know it.

What is private: the roles of two players, whom somebody named at night, a bid, a secret
ballot, words among wolves, the wording of a reply, a persona. To whoever may not know
the difference both games have to be equal, byte for byte, after every act.
"""

from __future__ import annotations

import itertools
from copy import deepcopy
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omar_envs.conversation import ConversationEnv
from omar_envs.types import SPEAK, View
from omar_envs.werewolf.roles import ROLE_CLASSES
from tests.envs.games import name_of, started, with_role
from tests.envs.twins import (
    HIDDEN,
    Manners,
    Swapped,
    can_heal,
    go_on,
    is_same_in_public,
    phase_of,
    same_to,
    through_the_dark,
)
from tests.envs.werewolf_configs import SMALL, Config, configs, seeded

# --- two roles swapped ----------------------------------------------------------

PAIRS = tuple(itertools.combinations(ROLE_CLASSES, 2))


@pytest.mark.parametrize("roles", PAIRS, ids="-".join)
def test_swapped_roles_look_the_same_to_all_who_may_not_know(roles: tuple[str, str]) -> None:
    compared = 0
    for seed in range(4):
        rng = Random(f"{roles} {seed}")
        config = seeded(rng.randrange(2**32), SMALL)
        config.pop("preset", None)
        counts = {role: ROLE_CLASSES[role].unit for role in (*roles, "seer", "medium")}
        config |= {
            "num_players": 11,
            "roles": {**counts, "werewolf": 2, "villager": 0},
            "reveal_on_death": rng.choice(["none", "none", "team", "role"]),
            "max_days": 3,
        }
        config["roles"]["villager"] = 11 - sum(config["roles"].values())
        pair = Swapped(config, seed, roles)
        avoid = pair.players if rng.random() < 0.7 else []
        pair.walk(Manners(seed, [name_of(pair.env, agent) for agent in avoid]))
        compared += pair.compared
    assert compared >= 20


@given(configs(SMALL), st.data())
@settings(max_examples=80)
def test_swapped_roles_in_any_configuration(config: Config, data: st.DataObject) -> None:
    seed = data.draw(st.integers(0, 2**32 - 1))
    env = started(seed, **config)
    held = [role for role, count in env.config["roles"].items() if count]
    pairs = list(itertools.combinations(held, 2))
    pair = Swapped(config, seed, data.draw(st.sampled_from(pairs)))
    avoid = [name_of(env, agent) for agent in pair.players if data.draw(st.booleans())]
    pair.walk(Manners(seed, avoid))


@pytest.mark.parametrize("which", [0, 1])
def test_whether_it_was_a_wolf_that_was_voted_out_does_not_show_at_night(which: int) -> None:
    """One wolf left does not talk, acts alone, and leaves the same numbers of stages behind."""
    nights = 0
    for seed in range(6):
        config = {
            "num_players": 11,
            "roles": {"werewolf": 2, "seer": 1, "doctor": 1, "witch": 1, "hunter": 1},
            "reveal_on_death": "none",
            "wolf_chat_rounds": 1 + seed % 2,
            "first_phase": "day",
            "allow_abstain": seed % 2 == 0,
        }
        pair = Swapped(config, seed, ("villager", "werewolf"))
        names = [name_of(pair.env, agent) for agent in pair.players]
        pair.walk(Manners(seed, names, out=names[which]))
        assert names[which] not in pair.env.view("player_0").facts["alive"]
        nights += pair.env.view("player_0").facts["day"] - 1
    assert nights >= 6


# --- other private acts ---------------------------------------------------------


def is_private(env: ConversationEnv) -> bool:
    """Whether the acts of the running stage are seen by nobody, or by some."""
    phase = phase_of(env)
    return phase in (*HIDDEN, "bid") or (phase == "vote" and not env.config["show_votes"])


def to_a_private_stage(env: ConversationEnv, manners: Manners, rng: Random) -> bool:
    """Play to the beginning of a night, a bid or a secret ballot; false if none is chosen."""
    begins = True
    while not env.over:
        if begins and is_private(env) and rng.random() < 0.4:
            return True
        was_dark = phase_of(env) in HIDDEN
        closes = len(env.acting) == 1
        env.step(manners(env.view(env.agent_selection)))
        begins = closes and not (was_dark and not env.over and phase_of(env) in HIDDEN)
    return False


class Plot:
    """What is done in one night, bid or secret ballot.

    Deaths are few and often the same: the wolves choose among few, who are often
    saved, by the doctor or by the witch.
    """

    def __init__(self, rng: Random, living: list[str]) -> None:
        few = rng.sample(living, min(3, len(living)))
        self.victim = rng.choice(few)
        self.stray = rng.choice(few)
        self.poisoned = rng.choice([*few, "pass"])
        self.saviour = rng.choice(["doctor", "doctor", "witch", ""])
        self.found = rng.random()
        self.words = rng.random()
        self.ballots = {name: rng.random() for name in living}

    def varied(self, rng: Random, living: list[str]) -> Plot:
        """The same but for a few things."""
        plot, other = deepcopy(self), Plot(rng, living)
        for part in rng.sample(sorted(vars(plot)), rng.randrange(1, 4)):
            setattr(plot, part, getattr(other, part))
        if plot.poisoned != "pass" and rng.random() < 0.5:
            # Both die, and of what is not told.
            plot.victim, plot.poisoned, plot.saviour = self.poisoned, self.victim, ""
        plot.ballots = {
            name: (other if rng.random() < 0.3 else self).ballots[name] for name in living
        }
        return plot

    def __call__(self, view: View) -> str:
        assert view.request is not None
        choices = view.request.choices
        if view.request.kind is SPEAK:
            return f"my words are {self.words}"
        if view.facts["phase"] != "night":
            return choices[int(self.ballots[view.name] * len(choices))]
        # Of three wolves one may name another without changing the victim.
        partners = view.facts["partners"] if view.role == "werewolf" else []
        stray = len(partners) > 1 and view.name > max(partners)
        wanted = {
            "werewolf": self.stray if stray else self.victim,
            "doctor": self.victim if self.saviour == "doctor" else "",
            "witch": self.victim if self.saviour == "witch" else self.poisoned,
        }.get(str(view.role), "")
        return wanted if wanted in choices else choices[int(self.found * len(choices)) - 1]


def carried_out(env: ConversationEnv, plot: Plot) -> tuple[ConversationEnv, dict[Any, list[str]]]:
    """A copy in which it was done; and what each said and named, by agent and phase."""
    game, done = deepcopy(env), {}
    dark = phase_of(game) in HIDDEN
    left = len(game.acting)
    while not game.over and (phase_of(game) in HIDDEN if dark else left):
        view = game.view(game.agent_selection)
        reply = plot(view)
        done.setdefault((view.agent, view.facts["phase"]), []).append(reply)
        game.step(reply)
        left -= 1
    return game, done


def who_may_tell(
    env: ConversationEnv, done: dict[Any, list[str]], other: dict[Any, list[str]]
) -> set[str]:
    """The law: who did something else; wolves of wolves; a witch that can heal, of the victim."""
    differ = [key for key in {**done, **other} if done.get(key) != other.get(key)]
    knowing = {agent for agent, _ in differ}
    wolves = {agent for agent in with_role(env, "werewolf") if env.view(agent).alive}
    if wolves & knowing:
        knowing |= wolves
    if any(phase == "night" and agent in wolves for agent, phase in differ):
        knowing |= {agent for agent in with_role(env, "witch") if can_heal(env, agent)}
    return knowing


def private_twins(config: Config, seed: int) -> dict[str, int]:
    """Do many things in one private stage; compare those with the same public consequence.

    Returns:
        How many comparisons were made, by phase.
    """
    rng, manners = Random(seed), Manners(seed)
    env = started(seed, **config)
    if not to_a_private_stage(env, manners, rng):
        return {}
    living = env.view(env.agent_selection).facts["alive"]
    phase = phase_of(env)
    plot = Plot(rng, living)
    compared = 0
    groups: list[list[tuple[ConversationEnv, dict[Any, list[str]]]]] = []
    for variant in (plot, *(plot.varied(rng, living) for _ in range(9))):
        game, done = carried_out(env, variant)
        for group in groups:
            if is_same_in_public(game, group[0][0]):
                knowing = who_may_tell(env, done, group[0][1])
                ignorant = [agent for agent in env.possible_agents if agent not in knowing]
                same_to(ignorant, game, group[0][0])
                compared += bool(ignorant and knowing)
                group.append((game, done))
                break
        else:
            groups.append([(game, done)])
    for group in groups:
        (game, done), (other, differently) = group[0], group[-1]
        if game is not other:
            knowing = who_may_tell(env, done, differently)
            go_on(game, other, manners, [a for a in env.possible_agents if a not in knowing])
    return {"dark" if phase in HIDDEN else phase: compared}


@pytest.mark.parametrize("last_words", ["none", "all"])
@pytest.mark.parametrize("reveal", ["none", "role"])
def test_which_of_two_was_poisoned_and_which_was_killed_shows_nowhere(
    last_words: str, reveal: str
) -> None:
    config = {"num_players": 9, "roles": {"werewolf": 2, "witch": 1, "seer": 1}}
    for seed in range(4):
        env = started(seed, **config, last_words=last_words, reveal_on_death=reveal)
        one, two = (name_of(env, agent) for agent in with_role(env, "villager")[:2])
        games = []
        for killed, poisoned in ((one, two), (two, one)):
            choices = {"werewolf": killed, "witch": poisoned, "seer": one}
            game = deepcopy(env)
            through_the_dark(game, lambda view, c=choices: c[str(view.role)])  # type: ignore[misc]
            assert not {one, two} & {*game.view("player_0").facts["alive"]} or last_words == "all"
            games.append(game)
        unable = [a for a in env.possible_agents if env.view(a).role not in ("werewolf", "witch")]
        same_to(unable, *games)
        go_on(*games, Manners(seed), unable)


ROLES_OF_THE_NIGHT = {"werewolf": 3, "doctor": 1, "seer": 1, "witch": 1, "medium": 1, "hunter": 1}


@pytest.mark.parametrize("show_votes", [True, False])
def test_private_acts_with_the_same_consequence_look_the_same(show_votes: bool) -> None:
    compared = dict.fromkeys(("dark", "bid", "vote"), 0)
    for seed in range(60):
        config = seeded(seed, SMALL)
        for name in ("preset", "voting", "vote_rule"):
            config.pop(name, None)
        config |= {
            "num_players": 11,
            "roles": ROLES_OF_THE_NIGHT,
            "show_votes": show_votes,
            "discussion_rounds": 1,
        }
        for phase, number in private_twins(config, seed).items():
            compared[phase] += number
    assert compared["dark"] >= 60
    assert compared["bid"] >= 5
    assert (compared["vote"] >= 20) is not show_votes


@given(configs(SMALL), st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_private_acts_in_any_configuration(config: Config, seed: int) -> None:
    private_twins(config, seed)


# --- other words, other personas -------------------------------------------------


def reworded(reply: str, tags: list[str], rng: Random) -> str:
    """The same to all others: private reasoning, quotes, white space."""
    thought = f"<{tags[0]}>{rng.random()}\n</{tags[0]}>" if tags else " "
    return rng.choice([f"{thought}{reply}", f"{reply}{thought}", f"\n{thought}\t{reply}\r\n"])


@given(configs(SMALL), st.integers(0, 2**32 - 1))
@settings(max_examples=60)
def test_how_a_reply_is_worded_is_its_writers_secret(config: Config, seed: int) -> None:
    rng, manners = Random(seed), Manners(seed)
    env, other = started(seed, **config), started(seed, **config)
    others = rng.sample(env.possible_agents, len(env.possible_agents) // 2)
    while not env.over:
        agent = env.agent_selection
        assert agent == other.agent_selection
        reply = manners(env.view(agent))
        env.step(reply)
        other.step(reply if agent in others else reworded(reply, env.config["private_tags"], rng))
        same_to(others, env, other)
    assert env.episode().outcome == other.episode().outcome


@given(configs(SMALL), st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_a_persona_is_told_to_its_player_alone(config: Config, seed: int) -> None:
    pool = [f"zq{i}qz" for i in range(24)]
    env = started(seed, **{**config, "personas": pool})
    one, two = Random(seed).sample(env.possible_agents, 2)
    dealt = [
        next(p for p in pool if p in env.observe(agent)["text"].split()) for agent in (one, two)
    ]
    swap = dict(zip(dealt, reversed(dealt), strict=True))
    other = started(seed, **{**config, "personas": [swap.get(p, p) for p in pool]})
    rest = [agent for agent in env.possible_agents if agent not in (one, two)]
    same_to(rest, env, other)
    go_on(env, other, Manners(seed), rest)
    assert env.over
    assert other.over
