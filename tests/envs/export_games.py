"""Games with what their seats really saw, for tests of exports."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from omar_envs import rollout
from omar_envs.conversation import ConversationEnv
from omar_envs.types import CHOOSE, ChatMessage, Episode, View
from tests.envs import sotopia_configs, werewolf_configs
from tests.envs.werewolf_configs import HOSTILE

THOUGHT = "zqthoughtqz"


class Seen(NamedTuple):
    """A game, and what each seat's view held while it was played.

    ``prompts`` has the messages before each act, ``read`` how many messages of the log
    had been shown by then, ``end`` the messages at the end; by agent.
    """

    episode: Episode
    prompts: dict[str, list[list[ChatMessage]]]
    read: dict[str, list[int]]
    end: dict[str, list[ChatMessage]]


def play_and_look(env: ConversationEnv, seed: int, answer: Callable[[View], Any]) -> Seen:
    env.reset(seed=seed)
    agents = env.possible_agents
    prompts: dict[str, list[list[ChatMessage]]] = {agent: [] for agent in agents}
    read: dict[str, list[int]] = {agent: [] for agent in agents}
    while not env.over:
        view = env.view(env.agent_selection)
        prompts[view.agent].append(list(view.messages))
        read[view.agent].append(len(view.log))
        env.step(answer(view))
    end = {agent: list(env.view(agent).messages) for agent in agents}
    return Seen(named(env.episode(), "tester"), prompts, read, end)


def named(episode: Episode, policy: str) -> Episode:
    """The episode as if a policy of that name had played it."""
    seats = tuple(msgspec.structs.replace(seat, policy=policy) for seat in episode.seats)
    return msgspec.structs.replace(episode, seats=seats)


def hostile(seed: int, env: ConversationEnv) -> Callable[[View], str]:
    """Legal choices and hostile speech, with a thought of its own before either.

    Where the game knows no private tags, nothing is private, and there is no thought.
    """
    rng = random.Random(seed)
    tags = env.config["private_tags"]

    def answer(view: View) -> str:
        assert view.request is not None
        thought = f"<{tags[0]}>{THOUGHT}{view.agent} and more</{tags[0]}>" if tags else ""
        if view.request.kind is CHOOSE and rng.random() < 0.8:
            return thought + rng.choice(view.request.choices)
        said = str(rng.choice(HOSTILE))
        return said if rng.random() < 0.3 else thought + said

    return answer


def hostile_games(number: int) -> list[Seen]:
    """Games of both environments, in settings of all kinds."""
    games = []
    for seed in range(number):
        env = rollout.make("werewolf_v0", werewolf_configs.seeded(seed, werewolf_configs.SMALL))
        games.append(play_and_look(env, seed, hostile(seed, env)))
        talk = rollout.make("sotopia_v0", sotopia_configs.seeded(seed, 4))
        games.append(play_and_look(talk, seed, hostile(seed, talk)))
    return games


def with_rewards(episode: Episode, rewards: dict[str, Any]) -> Episode:
    """The episode with other rewards for some agents."""
    return msgspec.structs.replace(episode, rewards={**episode.rewards, **rewards})


def lines(path: Path) -> list[dict[str, Any]]:
    """Rows of a file, cut at whatever Python takes for a line break."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def by_seat(rows: Iterable[dict[str, Any]]) -> dict[tuple[int, str], list[dict[str, Any]]]:
    """Rows by episode and agent."""
    found: dict[tuple[int, str], list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault((row["episode"], row["agent"]), []).append(row)
    return found
