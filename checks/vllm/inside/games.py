"""Settings and requests that the checks inside vLLM's environment share."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, PreTrainedModel

from omar_trainers.config import OMARConfig
from omar_trainers.generation import GenerationRequest, GenerationResult
from omar_trainers.house.directory import house_directory
from omar_trainers.metrics import METRICS_FILE

HOUSE = str(house_directory())
END = 3
CHOICES = ((20,), (21, 22), (21, 22, 23), (24, 25), (24, 26))


def settings(folder: Path, **changes: Any) -> OMARConfig:
    """Two iterations of eight Werewolf games by the house model, played with vLLM."""
    return OMARConfig(
        **{
            "output_dir": str(folder),
            "use_cpu": True,
            "use_vllm": True,
            "old_logprobs": "recomputed",
            "env_name": "werewolf_v0",
            "env_kwargs": {
                "num_players": 5,
                "roles": {"werewolf": 1, "seer": 1, "villager": 3},
                "first_night_kill": False,
                "wolf_chat_rounds": 0,
                "prompt_style": "terse",
            },
            "seats": 5,
            "games_per_iteration": 8,
            "total_iterations": 2,
            "minibatches": 1,
            "per_device_train_batch_size": 20,
            "learning_rate": 3e-3,
            "max_new_tokens_speak": 8,
            "stop_strings": ["werewolf"],
            "advantage": "rae",
            "save_strategy": "no",
            "report_to": [],
            "keep_rollouts": False,
            "seed": 3,
            **changes,
        }
    )


def check_training(folder: Path) -> list[dict[str, Any]]:
    """vLLM's logprobs are the trainer's, before the first update and after it."""
    lines = [json.loads(line) for line in (folder / METRICS_FILE).read_text().splitlines()]
    assert len(lines) == 2
    for line in lines:
        assert line["policy/logprob_gap"] < 1e-4
        assert 0 < line["play/cached_prompt_share"] < 1
    return lines


def with_adapters(seed: int) -> PeftModel:
    """The house model under adapters that change what it says."""
    adapted = get_peft_model(
        AutoModelForCausalLM.from_pretrained(HOUSE),
        LoraConfig(target_modules="all-linear", task_type="CAUSAL_LM"),
    )
    assert isinstance(adapted, PeftModel)
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.normal_(0, 0.1, generator=random)
    return adapted


def mixed_requests(seed: int, rows: int) -> list[GenerationRequest]:
    """Free replies and choices, at several temperatures."""
    rng = random.Random(seed)
    return [
        GenerationRequest(
            row=row,
            ids=[rng.randrange(4, 120) for _ in range(rng.randint(1, 150))],
            max_new_tokens=rng.randint(1, 12),
            choices=rng.choice([None, CHOICES]),
            temperature=rng.choice([0.0, 0.7, 1.3]),
        )
        for row in range(rows)
    ]


def check_results(
    model: PreTrainedModel | PeftModel,
    requests: Sequence[GenerationRequest],
    results: Sequence[GenerationResult],
) -> None:
    """Logprobs are those of a plain forward pass, under temperature and mask."""
    for request, result in zip(requests, results, strict=True):
        row = [*request.ids, *result.ids]
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([row])).logits[0, len(request.ids) - 1 : -1]
        assert 1 <= len(result.ids) <= request.max_new_tokens
        assert result.finished == (result.ids[-1] == END)
        for line, token, logprob, allowed in zip(
            logits.float(), result.ids, result.logprobs, result.allowed, strict=True
        ):
            assert (allowed is None) == (request.choices is None)
            if allowed is not None:
                masked = torch.full_like(line, -torch.inf)
                masked[list(allowed)] = line[list(allowed)]
                line = masked
            if request.temperature == 0:
                assert logprob == 0.0 and line[token] > line.max() - 1e-3
            else:
                expected = (line / request.temperature).log_softmax(-1)[token]
                assert logprob == pytest.approx(float(expected), abs=2e-3)
        if request.choices is not None and result.finished:
            assert tuple(result.ids[:-1]) in request.choices
