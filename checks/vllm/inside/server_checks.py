"""A vLLM server without a GPU, asked and fed with weights by the trainer."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from peft import LoraConfig

from checks.vllm.inside.games import (
    END,
    HOUSE,
    check_results,
    check_training,
    mixed_requests,
    settings,
    with_adapters,
)
from checks.vllm.server import Server
from omar_trainers.generation import GenerationRequest
from omar_trainers.trainer import OMARTrainer
from omar_trainers.vllm.setup import vllm_generator


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("server") / "log"
    os.environ["VLLM_SERVER_DEV_MODE"] = "1"
    wanted = (
        *("--logprobs-mode", "processed_logprobs", "--enable-prompt-tokens-details"),
        *("--worker-extension-cls", "omar_trainers.vllm.worker.WeightReload"),
        *("--block-size", "32"),
    )
    with Server(Path(sys.executable), Path(HOUSE), log, wanted) as running:
        yield running


@pytest.fixture(scope="module")
def trained(server: Server, tmp_path_factory: pytest.TempPathFactory) -> tuple[OMARTrainer, Path]:
    folder = tmp_path_factory.mktemp("server-mode")
    base = server.url.removesuffix("/v1")
    trainer = OMARTrainer(HOUSE, settings(folder, vllm_mode="server", vllm_server_base_url=base))
    trainer.train()
    return trainer, folder


def test_a_run_needs_no_more_than_its_settings(trained: tuple[OMARTrainer, Path]) -> None:
    check_training(trained[1])


def test_logprobs_are_those_of_the_model_after_every_change(
    trained: tuple[OMARTrainer, Path],
) -> None:
    trainer = trained[0]
    for seed, scale in enumerate((1.0, 1.1)):
        with torch.no_grad():
            trainer.model.get_input_embeddings().weight.mul_(scale)
        trainer._last_loaded_step = -1
        requests = mixed_requests(seed, 40)
        with vllm_generator(trainer, 0) as sampler:
            check_results(trainer.model, requests, sampler.generate(requests))


def test_adapters_are_handed_over_with_their_base(server: Server, tmp_path: Path) -> None:
    base = server.url.removesuffix("/v1")
    trainer = OMARTrainer(
        HOUSE,
        settings(tmp_path, vllm_mode="server", vllm_server_base_url=base),
        peft_config=LoraConfig(target_modules="all-linear", task_type="CAUSAL_LM"),
    )
    trainer.train()
    check_training(tmp_path)
    adapted = with_adapters(seed=0)
    trainer.vllm_generation.model = adapted
    trainer._last_loaded_step = -1
    requests = mixed_requests(4, 40)
    with vllm_generator(trainer, 0) as sampler:
        check_results(adapted, requests, sampler.generate(requests))


def test_calls_have_seeds_that_do_not_hang_on_the_order(
    trained: tuple[OMARTrainer, Path],
) -> None:
    requests = mixed_requests(5, 30)
    replies = []
    for seed, order in ((1, requests), (1, requests[::-1]), (2, requests)):
        with vllm_generator(trained[0], seed) as sampler:
            results = zip(order, sampler.generate(order), strict=True)
            replies.append({asked.row: result.ids for asked, result in results})
    assert replies[0] == replies[1] != replies[2]


def test_stop_strings_and_streams(trained: tuple[OMARTrainer, Path]) -> None:
    trainer = trained[0]
    decode = trainer.processing_class.decode
    stop = ("villager", "is good")
    with vllm_generator(trainer, 0) as sampler:
        sampler.submit(
            [GenerationRequest(row, [5, 6, 7 + row], 60, None, 1.5, stop) for row in range(30)]
        )
        replies = {}
        while found := sampler.poll():
            replies |= dict(found)
    assert len(replies) == 30
    for result in replies.values():
        text, shorter = decode(result.ids), decode(result.ids[:-1])
        assert result.stopped == any(each in text for each in stop)
        assert not any(each in shorter for each in stop)
        assert result.finished == (result.ids[-1] == END)
