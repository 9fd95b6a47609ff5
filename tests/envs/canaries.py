"""Words that stand nowhere else, planted where only some may read them, and looked for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import Random

import msgspec

from omar_envs.conversation import ConversationEnv

TOKEN = re.compile(rb"zq(\d+)qz")


class Canaries:
    """Words that stand nowhere else, and who may read each."""

    def __init__(self) -> None:
        self._readers: list[set[str]] = []

    def new(self, *readers: str) -> str:
        self._readers.append(set(readers))
        return f"zq{len(self._readers) - 1}qz"

    def allow(self, word: str, readers: Sequence[str]) -> None:
        self._readers[int(word[2:-2])] |= set(readers)

    def check(self, agent: str, shown: bytes) -> None:
        for number in set(TOKEN.findall(shown)):
            assert agent in self._readers[int(number)], (agent, number)


def shown(env: ConversationEnv, agent: str) -> bytes:
    """All that is shown to an agent, but its pay."""
    info = {k: v for k, v in env.infos[agent].items() if k != "reward_components"}
    return msgspec.json.encode((env.observe(agent), env.view(agent), info))


def thought(tags: Sequence[str], secret: str, rng: Random) -> str:
    """A secret in private tags; without tags there is nowhere to say it."""
    if not tags:
        return ""
    tag = rng.choice(tags)
    return rng.choice(
        [
            f"<{tag}>{secret}</{tag}>",
            f"<{tag.upper()}>{secret}\n{{secret}}</{tag.title()}>",
            f"< {tag} x='{secret}'>{secret}< / {tag} >",
            f"<\n{tag}>{secret}<{tag}>{secret}</{tag}>{secret}</{tag}>",
        ]
    )
