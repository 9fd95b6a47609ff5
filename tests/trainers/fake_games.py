"""A game with no language in it, a tiny model, and settings to train one on the other.

Each seat acts ``TURNS`` times, choosing and speaking in turn. Choosing the label
``GOOD`` pays 1 at once, other labels nothing, so learning shows in few iterations.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from omar_envs.types import (
    CHOOSE,
    SCHEMA_VERSION,
    SPEAK,
    Episode,
    Request,
    Seat,
    StageRecord,
    Turn,
)
from omar_trainers.config import OMARConfig
from omar_trainers.generation import GenerationRequest, TextGenerator
from omar_trainers.rows import TokenRow
from omar_trainers.selfplay import GamePlan, PlayedGames

VOCABULARY = 24
PAD, END = 0, 1
LABELS = ((10, 11), (12,), (13, 14))
GOOD = LABELS[1]
TURNS = 4


def save_tiny_model(folder: Path, *, seed: int = 0, tied: bool = False) -> str:
    """A random Llama of a few thousand parameters with a word tokenizer, in ``folder``.

    ``tied`` lets it read and write with the same weights.
    """
    words = {"<pad>": PAD, "<end>": END} | {f"w{i}": i for i in range(2, VOCABULARY)}
    tokenizer = Tokenizer(WordLevel(words, unk_token="<pad>"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<end>"
    ).save_pretrained(folder)
    torch.manual_seed(seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            max_position_embeddings=64,
            pad_token_id=PAD,
            eos_token_id=END,
            bos_token_id=None,
            initializer_range=0.3,
            tie_word_embeddings=tied,
        )
    )
    model.save_pretrained(folder)
    return str(folder)


def tiny_settings(output: Path, **changes: Any) -> OMARConfig:
    """Settings of a run that takes seconds."""
    settings: dict[str, Any] = {
        "output_dir": str(output),
        "use_cpu": True,
        "seats": 3,
        "games_per_iteration": 4,
        "total_iterations": 2,
        "minibatches": 2,
        "per_device_train_batch_size": 3,
        "learning_rate": 1e-3,
        "critic_learning_rate": 1e-3,
        "entropy_coef": 0.01,
        "max_row_tokens": 64,
        "save_strategy": "no",
        "progress": False,
        "seed": 7,
    }
    return OMARConfig(**(settings | changes))


def play_fake_games(plans: Sequence[GamePlan], generator: TextGenerator) -> PlayedGames:
    """Play the plans. A scenario may set ``seats``, ``turns`` per seat, ``silent`` (seats that
    never act), ``truncated`` and ``unscored`` (games whose reward nobody could tell)."""
    rows: dict[tuple[int, str], TokenRow] = {}
    turns: list[list[Turn]] = [[] for _ in plans]
    random = [np.random.default_rng(plan.seed) for plan in plans]
    seats = [plan.scenario.get("seats", 3) for plan in plans]
    length = [plan.scenario.get("turns", TURNS) for plan in plans]
    for turn in range(max(length)):
        live: list[tuple[int, str]] = []
        for game, plan in enumerate(plans):
            if turn >= length[game]:
                continue
            for seat in range(plan.scenario.get("silent", 0), seats[game]):
                key = (game, f"agent_{seat}")
                live.append(key)
                heard = random[game].integers(2, 10, size=int(random[game].integers(1, 6)))
                rows.setdefault(key, TokenRow(*key)).read(heard.tolist())
        choices = LABELS if turn % 2 == 0 else None
        results = generator.generate(
            [GenerationRequest(key, rows[key].ids, 3, choices, 1.0) for key in live]
        )
        for key, result in zip(live, results, strict=True):
            game, agent = key
            rows[key].write(turn, result.ids, result.logprobs, result.allowed)
            good = choices is not None and tuple(result.ids[:-1]) == GOOD
            pay = None if plans[game].scenario.get("unscored") else float(good)
            request = Request(SPEAK, "say") if choices is None else Request(CHOOSE, "choose")
            text = " ".join(map(str, result.ids))
            turns[game].append(Turn(turn, agent, request, text, text, True, "", {"outcome": pay}))
    return PlayedGames(
        [_episode(plan, seats[game], turns[game]) for game, plan in enumerate(plans)], rows
    )


def _episode(plan: GamePlan, seats: int, turns: list[Turn]) -> Episode:
    agents = [f"agent_{seat}" for seat in range(seats)]
    earned: dict[str, dict[str, float | None]] = {}
    for agent in agents:
        paid = [t.reward_components["outcome"] for t in turns if t.agent == agent]
        earned[agent] = {"outcome": None if None in paid else float(sum(p for p in paid if p))}
    truncated = bool(plan.scenario.get("truncated"))
    return Episode(
        schema_version=SCHEMA_VERSION,
        env="fake_v0",
        config=plan.scenario,
        seed=plan.seed,
        seats=tuple(
            Seat(agent, agent, "even" if i % 2 == 0 else "odd") for i, agent in enumerate(agents)
        ),
        stages=tuple(StageRecord(k, "stage", str(k)) for k in range(TURNS)),
        messages=(),
        turns=tuple(turns),
        rewards=earned,
        outcome={"winner": "even" if plan.seed % 2 else None},
        terminated=not truncated,
        truncated=truncated,
    )
