"""vLLM's engine in the trainer's own process."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

from checks.vllm.inside.games import (
    END,
    HOUSE,
    check_results,
    check_training,
    mixed_requests,
    settings,
    with_adapters,
)
from omar_trainers.generation import GenerationRequest
from omar_trainers.tokens import ChatTokenizer
from omar_trainers.trainer import OMARTrainer
from omar_trainers.vllm.backends import EngineBackend
from omar_trainers.vllm.generator import VLLMGenerator
from omar_trainers.vllm.weight_sync import sync_weights


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[OMARTrainer, Path]:
    """One engine for all checks: a process has room for no second one."""
    folder = tmp_path_factory.mktemp("colocate")
    trainer = OMARTrainer(HOUSE, settings(folder, vllm_mode="colocate"))
    trainer.train()
    return trainer, folder


def generator(trainer: OMARTrainer, seed: int = 0) -> VLLMGenerator:
    return VLLMGenerator(
        EngineBackend(trainer.vllm_generation.llm, seed=seed), end_token_id=END, max_context=500
    )


def test_a_run_needs_no_more_than_its_settings(trained: tuple[OMARTrainer, Path]) -> None:
    lines = check_training(trained[1])
    assert lines[0]["grad_norm"] > 0


def test_logprobs_are_those_of_the_model_after_every_change(
    trained: tuple[OMARTrainer, Path],
) -> None:
    trainer = trained[0]
    for seed, scale in enumerate((1.0, 1.1, 0.9)):
        with torch.no_grad():
            # Scaled embeddings show in the input and, as they are tied, in the output.
            trainer.model.get_input_embeddings().weight.mul_(scale)
            trainer.model.model.layers[0].mlp.down_proj.weight.mul_(scale)
        trainer.vllm_generation.sync_weights()
        requests = mixed_requests(seed, 40)
        with generator(trainer) as sampler:
            check_results(trainer.model, requests, sampler.generate(requests))


def test_adapters_are_handed_over_with_their_base_and_leave_it_as_it_was(
    trained: tuple[OMARTrainer, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    generation = trained[0].vllm_generation
    adapted = with_adapters(seed=0)
    monkeypatch.setattr(generation, "model", adapted)
    before = {name: weight.clone() for name, weight in adapted.named_parameters()}
    for seed in range(2):
        sync_weights(generation)
        requests = mixed_requests(seed, 40)
        with generator(trained[0]) as sampler:
            check_results(adapted, requests, sampler.generate(requests))
    for name, weight in adapted.named_parameters():
        assert torch.equal(weight, before[name]), name


def test_rows_that_grow_are_read_once(trained: tuple[OMARTrainer, Path]) -> None:
    trainer = trained[0]
    trainer.vllm_generation.sync_weights()
    row = [random.Random(1).randrange(4, 120) for _ in range(200)]
    with generator(trainer) as sampler:
        (first,) = sampler.generate([GenerationRequest("r", row, 4, None, 1.0)])
        grown = [*row, *first.ids, *row[:60]]
        (second,) = sampler.generate([GenerationRequest("r", grown, 4, None, 1.0)])
    assert first.num_cached == 0
    assert second.num_cached == 192  # whole blocks of 32


def test_sampling_is_seeded_and_leaves_the_process_alone(
    trained: tuple[OMARTrainer, Path],
) -> None:
    trainer = trained[0]
    requests = mixed_requests(5, 20)
    before = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())
    replies = []
    for seed in (1, 1, 2):
        trainer.vllm_generation.llm.reset_prefix_cache()
        with generator(trainer, seed) as sampler:
            replies.append([result.ids for result in sampler.generate(requests)])
    assert replies[0] == replies[1] != replies[2]
    after = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())
    assert before == after


def test_stop_strings_end_replies_with_the_token_that_completes_them(
    trained: tuple[OMARTrainer, Path],
) -> None:
    trainer = trained[0]
    tokens = ChatTokenizer(AutoTokenizer.from_pretrained(HOUSE))
    stop = ("villager", "is good")
    requests = [GenerationRequest(row, [5, 6, 7 + row], 60, None, 1.5, stop) for row in range(30)]
    with generator(trainer) as sampler:
        results = sampler.generate(requests)
    for result in results:
        text, shorter = tokens.decode(result.ids), tokens.decode(result.ids[:-1])
        assert result.stopped == any(each in text for each in stop)
        assert not any(each in shorter for each in stop)
    assert any(result.stopped for result in results)


def test_short_replies_do_not_wait_for_long_ones(trained: tuple[OMARTrainer, Path]) -> None:
    with generator(trained[0]) as sampler:
        sampler.submit(
            [
                GenerationRequest("long", [5, 6], 200, ((20,) * 199,), 1.0),
                GenerationRequest("free", [5, 6], 200, None, 2.0),
                GenerationRequest("short", [7, 8], 1, None, 1.0),
            ]
        )
        order = []
        while found := sampler.poll():
            order += [row for row, _ in found]
    assert order[:2] == ["long", "short"]  # the first has no alternative, and takes no step


def test_an_error_while_games_are_played_leaves_nothing_behind(
    trained: tuple[OMARTrainer, Path],
) -> None:
    trainer = trained[0]
    trainer.vllm_generation.sync_weights()
    with pytest.raises(KeyError), generator(trainer) as sampler:
        sampler.submit(mixed_requests(6, 10))
        raise KeyError
    requests = mixed_requests(7, 10)
    with generator(trainer) as sampler:
        check_results(trainer.model, requests, sampler.generate(requests))
