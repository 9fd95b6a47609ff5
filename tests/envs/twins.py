"""Twin games: copies in which something private is different, played on in step.

A twin goes on for as long as the rules themselves say that the public course of
events is the same: :func:`truth` is the one place where tests look behind the names
that the environment publishes, because nothing public says it during a game.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from typing import Any

from omar_envs.conversation import ConversationEnv
from omar_envs.types import SPEAK, View
from omar_envs.werewolf.env import WerewolfEnv
from omar_envs.werewolf.roles import Witch
from tests.envs.games import everything, name_of, started, with_role
from tests.envs.werewolf_configs import Config

Answer = Callable[[View], str]

HIDDEN = ("wolf_chat", "night")
"""Phases in which who acts is private: twins go through them each in its own order."""


def truth(env: ConversationEnv) -> tuple[Any, ...]:
    """The public course of events, and the generator, by the rules themselves."""
    assert isinstance(env, WerewolfEnv)
    game = env._game
    step = None if env.over or phase_of(env) in HIDDEN else env._step
    return (
        step,
        sorted((death.day, death.player) for death in game.deaths),
        [death.player for death in game._doomed],
        sorted(game._voiceless),
        game._ballot,
        game.winner(),
        env.np_random.bit_generator.state,
    )


def phase_of(env: ConversationEnv) -> str:
    phase: str = env.view(env.agent_selection).facts["phase"]
    return phase


def same_to(agents: Iterable[str], env: ConversationEnv, other: ConversationEnv) -> None:
    for agent in agents:
        assert everything(env, agent) == everything(other, agent), agent


def through_the_dark(env: ConversationEnv, answer: Answer) -> list[tuple[str, int | None]]:
    """Act until the next phase that all may watch.

    Returns:
        Every witch that was asked and could heal, with whom the wolves had chosen.
    """
    assert isinstance(env, WerewolfEnv)
    told = []
    while not env.over and phase_of(env) in HIDDEN:
        agent = env.agent_selection
        if env.view(agent).role == "witch" and can_heal(env, agent):
            told.append((agent, env._game.night.victim))
        env.step(answer(env.view(agent)))
    return told


def can_heal(env: ConversationEnv, witch: str) -> bool:
    assert isinstance(env, WerewolfEnv)
    role = env._game.held[env.possible_agents.index(witch)]
    assert isinstance(role, Witch)
    return role.heals


class Manners:
    """What agents reply: by day a function of public things, at night also of their role.

    Args:
        seed: of the whole course of events.
        avoid: names that whoever acts in private leaves alone.
        out: name for which all vote on the first day.
    """

    def __init__(self, seed: int, avoid: Iterable[str] = (), out: str = "") -> None:
        self._seed = seed
        self._avoid = set(avoid)
        self._out = out

    def __call__(self, view: View) -> str:
        assert view.request is not None
        public = sum(1 for message in view.log if message.audience is None)
        salt = f"{self._seed} {public} {view.facts['day']} {view.facts['phase']}"
        if view.request.kind is SPEAK:
            return f"{view.name} says {zlib.crc32(salt.encode()) % 1000}"
        choices = view.request.choices
        if self._out in choices and view.facts["day"] == 1 and view.facts["phase"] == "vote":
            return self._out
        if view.facts["phase"] != "night":
            # Often all vote for one, so that somebody is out.
            own = view.name if zlib.crc32(salt.encode()) % 3 == 0 else ""
            return choices[zlib.crc32(f"{salt} {own}".encode()) % len(choices)]
        if view.facts["victim"] is not None and zlib.crc32(salt.encode()) % 2:
            return str(view.facts["victim"])
        own = "" if view.role == "werewolf" else str(view.role)
        choices = tuple(c for c in choices if c not in self._avoid) or choices
        return choices[zlib.crc32(f"{salt} {own}".encode()) % len(choices)]


def is_same_in_public(env: ConversationEnv, other: ConversationEnv) -> bool:
    if truth(env) != truth(other):
        return False
    in_the_dark = env.over or phase_of(env) in HIDDEN
    return in_the_dark or env.acting == other.acting


def go_on(
    env: ConversationEnv, other: ConversationEnv, manners: Manners, unable: list[str]
) -> None:
    """Play on, while the public course of events is the same."""
    while not env.over:
        if phase_of(env) in HIDDEN:
            through_the_dark(env, manners)
            through_the_dark(other, manners)
        else:
            reply = manners(env.view(env.agent_selection))
            env.step(reply)
            other.step(reply)
        if not is_same_in_public(env, other):
            return
        same_to(unable, env, other)


# --- two roles swapped ----------------------------------------------------------


class Swapped:
    """Two deals alike but for two players, who have each other's role in the second.

    Attributes:
        env, other: the games.
        players: the two agents.
        roles: their roles in the first game.
        knowing: who may know that something is different.
    """

    def __init__(self, config: Config, seed: int, roles: tuple[str, str]) -> None:
        self.env, self.other = started(seed, **config), deal_swapped(config, seed, roles)
        differ = [
            agent
            for agent in self.env.possible_agents
            if self.env.view(agent).role != self.other.view(agent).role
        ]
        self.players = differ
        self.roles = roles
        self.knowing = {*differ}
        for role in ("werewolf", "mason"):
            if role in roles:
                self.knowing |= {*with_role(self.env, role), *with_role(self.other, role)}
        self.compared = 0

    @property
    def ignorant(self) -> list[str]:
        return [agent for agent in self.env.possible_agents if agent not in self.knowing]

    def seen_apart(self, how: str) -> bool:
        """Whether who is shown a role, a team or nothing of the two can tell the games apart."""
        return how == "role" or (how == "team" and "werewolf" in self.roles)

    def walk(self, manners: Manners) -> None:
        names = {name_of(self.env, agent) for agent in self.players}
        findings = self.env.config["seer_learns"]

        def answer(view: View) -> str:
            reply = manners(view)
            # A seer who looks at one of the two may learn which game it is in.
            looks = view.role == "seer" and view.facts["phase"] == "night"
            if looks and reply in names and self.seen_apart(findings):
                self.knowing.add(view.agent)
            return reply

        same_to(self.ignorant, self.env, self.other)
        while not self.env.over and not self.other.over:
            if phase_of(self.env) in HIDDEN or phase_of(self.other) in HIDDEN:
                told = {*through_the_dark(self.env, answer)}
                self.knowing |= {who for who, _ in told ^ {*through_the_dark(self.other, answer)}}
            else:
                assert self.env.acting == self.other.acting
                voting = phase_of(self.env) == "vote"
                agent = self.env.agent_selection
                reply = manners(self.env.view(agent))
                self.env.step(reply)
                self.other.step(reply)
                if voting and "werewolf" in self.roles and self.gone():
                    self.knowing |= {
                        *with_role(self.env, "medium"),
                        *with_role(self.other, "medium"),
                    }
            if truth(self.env) != truth(self.other) or (self.gone() and self.told()):
                return
            if self.env.over and self.env.config["zero_sum"]:
                return  # the mean is paid to all, and tells of the deaths of every role
            # Who is asked when in the dark, and so when one is asked, is not the same.
            if self.env.over or phase_of(self.env) not in HIDDEN:
                same_to(self.ignorant, self.env, self.other)
                self.compared += bool(self.ignorant)

    def gone(self) -> bool:
        assert isinstance(self.env, WerewolfEnv)
        doomed = {self.env.possible_agents[d.player] for d in self.env._game._doomed}
        return any(a in doomed or not self.env.infos[a]["alive"] for a in self.players)

    def told(self) -> bool:
        """Whether of the one who is gone something was told to all that is not the same."""
        given = self.env.config["reveal_on_death"]
        return any(self.seen_apart(how) for how in ([given] if isinstance(given, str) else given))


def deal_swapped(config: Config, seed: int, roles: tuple[str, str]) -> ConversationEnv:
    """The deal of a seed, but the first holders in the deck of the two roles change places."""
    env = started(seed, **config)
    assert isinstance(env, WerewolfEnv)
    deck = list(env.rules.deck)
    one, two = (deck.index(role) for role in roles)
    deck[one], deck[two] = deck[two], deck[one]
    object.__setattr__(env.rules, "deck", tuple(deck))
    env.reset(seed=seed)
    return env
