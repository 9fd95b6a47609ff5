"""What share of the prompts of whole games a backend's cache can hold. Runs no model."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

SMOLLM2 = Path(__file__).resolve().parents[1] / "runs" / "smollm2"
GAME = {
    "num_players": 5,
    "roles": {"werewolf": 1, "seer": 1, "villager": 3},
    "first_night_kill": False,
    "discussion_rounds": 2,
    "wolf_chat_rounds": 0,
    "max_days": 2,
    "prompt_style": "terse",
}


class Talker:
    """Answers without a model, and tells what a cache of whole blocks would hold."""

    max_context = 1_000_000

    def __init__(self, words: int, block: int, tokens: Any) -> None:
        self.reply = tokens.encode_reply("Now " * words)
        self.block = block
        self.read: dict[Hashable, int] = {}
        self.end = tokens.end_token_id

    def generate(self, requests: Sequence[Any]) -> list[Any]:
        from omar_trainers.generation import GenerationResult

        results = []
        for request in requests:
            choice = request.choices and [*request.choices[len(request.ids) % 2], self.end]
            ids = choice or self.reply[-request.max_new_tokens :]
            held = self.read.get(request.row, 0)
            # The last token of a reply is sampled, not read.
            self.read[request.row] = (len(request.ids) + len(ids) - 1) // self.block * self.block
            nothing = [0.0] * len(ids), [None] * len(ids)
            results.append(GenerationResult(ids, *nothing, True, num_cached=held))
        return results

    def forget(self) -> None:
        self.read.clear()


def caches() -> str:
    """What share of the prompts the cache can hold in whole games, by its block."""
    from transformers import AutoTokenizer

    from omar_envs import rollout
    from omar_trainers.model_policy import ModelPolicy
    from omar_trainers.tokens import ChatTokenizer

    tokens = ChatTokenizer(AutoTokenizer.from_pretrained(SMOLLM2))
    games: dict[str, dict[str, Any]] = {
        "werewolf_v0, 7 players": {"num_players": 7},
        "werewolf_v0, 5 players, terse": GAME,
        "sotopia_v0": {"reward": "none"},
    }
    lines = []
    for name, config in games.items():
        shares = []
        for block in (1, 16, 32):
            policy = ModelPolicy(Talker(40, block, tokens), tokens, max_new_tokens_speak=64)
            made = [rollout.make(name.partition(",")[0], config) for _ in range(4)]
            rollout.play_games(made, range(4), lambda game, agent, policy=policy: policy)
            rows = policy.take_rows().values()
            shares.append(sum(r.num_reused for r in rows) / sum(r.num_asked for r in rows))
        length = sum(len(r.ids) for r in rows) / len(rows)
        lines.append(f"| {name} | {length:,.0f} | " + " | ".join(f"{x:.1%}" for x in shares) + " |")
    return "\n".join(lines)
