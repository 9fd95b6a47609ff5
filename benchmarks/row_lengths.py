"""How long the rows of a recipe get, for speeches of a given length.

    python benchmarks/row_lengths.py --tokenizer runs/smollm2 --write

A stand-in for a model plays a recipe's games: it chooses at random and says random words of its
tokenizer, always as many. What comes of it, in tokens, is what a trained model's rows
would be if it spoke at that length: prompts, what others said, and own replies. Another
tokenizer counts English within some per cent of the same. ``--write`` puts the table
into ``benchmarks/results``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

import numpy as np
from transformers import AutoTokenizer

from omar_trainers.generation import GenerationRequest, GenerationResult
from omar_trainers.selfplay import GamePlan, SelfPlayRound, model_games
from omar_trainers.tokens import ChatTokenizer
from omar_trainers.train import parse

RESULTS = Path(__file__).parent / "results" / "row_lengths.md"
RECIPES = ("werewolf_qwen3_4b", "sotopia_qwen2_5_7b")
SPEECHES = (40, 100, 200)


class Talker:
    """Replies of one length, of random words."""

    max_context = 1 << 20

    def __init__(self, words: Sequence[int], end: int, length: int) -> None:
        self._words, self._end, self._length = words, end, length
        self._random = np.random.default_rng(0)

    def generate(self, requests: Sequence[GenerationRequest]) -> list[GenerationResult]:
        return [self._reply(request) for request in requests]

    def forget(self) -> None:
        """It remembers nothing."""

    def _reply(self, request: GenerationRequest) -> GenerationResult:
        if request.choices is None:
            size = min(self._length, request.max_new_tokens) - 1
            ids = [*self._random.choice(self._words, size=size).tolist(), self._end]
        else:
            ids = [*request.choices[self._random.integers(len(request.choices))], self._end]
        return GenerationResult(ids, [-1.0] * len(ids), [None] * len(ids), True)


def row_lengths(recipe: str, tokenizer_folder: str, speech: int, games: int) -> list[str]:
    """One line of the table."""
    args, _ = parse(["--recipe", recipe, "--use_cpu", "true"])
    # Who judges has no effect on how long a game is.
    described = {k: v for k, v in (args.env_kwargs or {}).items() if k != "judge"}
    args.env_kwargs = described | ({"reward": "outcome"} if "reward" in described else {})
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    words = [
        i for word, i in tokenizer.get_vocab().items() if word[:1] == "Ġ" and word[1:].isalpha()
    ]
    play = model_games(args, ChatTokenizer(tokenizer))
    played = play(
        [GamePlan({}, seed) for seed in range(games)],
        Talker(sorted(words), tokenizer.eos_token_id, speech),
    )
    rows = [
        row
        for row in SelfPlayRound(played, seats=args.seats, filler=0).rows
        if not row.facts.is_dummy
    ]
    lengths = [len(row.prompt_ids) + len(row.completion_ids) for row in rows]
    own = [sum(row.own) for row in rows]
    turns = [len(row.turn_rewards) for row in rows]
    per_step = mean(lengths) * args.rows_per_iteration / args.minibatches
    return [
        f"| {recipe} | {speech} | {mean(turns):.1f} | {mean(lengths):,.0f} | {max(lengths):,} | "
        f"{mean(own):,.0f} | {per_step:,.0f} |"
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokenizer", required=True, help="folder of a chat model's tokenizer")
    parser.add_argument("--games", type=int, default=8)
    parser.add_argument("--write", action="store_true")
    chosen = parser.parse_args()
    lines = [
        "| recipe | tokens per speech | turns per seat | row, mean | row, longest | own tokens | "
        "tokens per optimizer step |",
        "|---|---|---|---|---|---|---|",
    ]
    for recipe in RECIPES:
        for speech in SPEECHES:
            lines += row_lengths(recipe, chosen.tokenizer, speech, chosen.games)
    print("\n".join(lines))
    if chosen.write:
        text = (
            "# How long rows get\n\n"
            "    python benchmarks/row_lengths.py --tokenizer runs/smollm2 --write\n\n"
            f"{chosen.games} games each, SmolLM2's tokenizer; choices and words are random, so "
            "that games are as long as chance makes them.\n\n"
        )
        RESULTS.write_text(text + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
