"""What stands between a policy and vLLM: calls, choices, order, and processes in step.

vLLM itself is checked in checks/vllm; here a small model answers in its place.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from omar_trainers.generation import GenerationRequest, GenerationResult
from omar_trainers.house.model import house_config, new_house_model
from omar_trainers.vllm.generator import SampleCall, Sampled, VLLMGenerator
from omar_trainers.vllm.lockstep import LockstepGenerator, Share

END, PAD, WORDS = 3, 0, 40
MODEL = new_house_model(
    house_config(
        WORDS, pad_token_id=PAD, end_token_id=END, hidden_size=32, num_layers=2, max_context=256
    ),
    seed=0,
)
CHOICES = ((5,), (6, 7), (6, 7, 8), (9, 10), (9, 11, 12))


def logprobs_after(ids: list[int], temperature: float, allowed: Sequence[int] | None) -> Tensor:
    """Log-probabilities (V,) of the next token, by a plain forward pass."""
    with torch.inference_mode():
        logits = MODEL(input_ids=torch.tensor([ids])).logits[0, -1].float()
    if allowed is not None:
        masked = torch.full_like(logits, -torch.inf)
        masked[list(allowed)] = logits[list(allowed)]
        logits = masked
    return (logits / (temperature or 1.0)).log_softmax(-1)


class Backend:
    """Answers calls by the model, one at a time, in an order of its own."""

    max_context = 256

    def __init__(self, seed: int = 0) -> None:
        self.calls: list[SampleCall] = []
        self.entered = 0
        self._pending: dict[int, SampleCall] = {}
        self._order = random.Random(seed)
        self._torch = torch.Generator().manual_seed(seed)

    def __enter__(self) -> Self:
        self.entered += 1
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.entered -= 1

    def send(self, number: int, call: SampleCall) -> None:
        assert number not in self._pending
        self.calls.append(call)
        self._pending[number] = call

    def wait(self) -> list[tuple[int, Sampled]]:
        number = self._order.choice(sorted(self._pending))
        return [(number, self._sample(self._pending.pop(number)))]

    def _sample(self, call: SampleCall) -> Sampled:
        ids: list[int] = []
        logprobs: list[float] = []
        while len(ids) < call.max_tokens and END not in ids and not self._stops(call, ids):
            scores = logprobs_after([*call.ids, *ids], call.temperature, call.allowed)
            if call.temperature:
                token = int(torch.multinomial(scores.exp(), 1, generator=self._torch))
            else:
                token = int(scores.argmax())
            ids.append(token)
            logprobs.append(float(scores[token]))
        return Sampled(ids, logprobs, self._stops(call, ids), len(call.ids) // 16 * 16)

    def _stops(self, call: SampleCall, ids: list[int]) -> bool:
        return any(str(token) in call.stop for token in ids)


def generator(backend: Backend) -> VLLMGenerator:
    return VLLMGenerator(backend, end_token_id=END, max_context=256)


def request(row: object, ids: Sequence[int], limit: int = 6, **more: object) -> GenerationRequest:
    return GenerationRequest(
        **{
            "row": row,
            "ids": ids,
            "max_new_tokens": limit,
            "choices": None,
            "temperature": 1.0,
            **more,
        }
    )


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_logprobs_are_those_under_the_mask_in_whatever_order_answers_come(seed: int) -> None:
    rng = random.Random(seed)
    requests = [
        request(
            row,
            [rng.randrange(4, WORDS) for _ in range(rng.randint(1, 20))],
            rng.randint(1, 6),
            choices=rng.choice([None, CHOICES, CHOICES[:1]]),
            temperature=rng.choice([0.5, 1.0]),
        )
        for row in range(5)
    ]
    for asked, result in zip(requests, generator(Backend(seed)).generate(requests), strict=True):
        ids = list(asked.ids)
        for token, logprob, allowed in zip(
            result.ids, result.logprobs, result.allowed, strict=True
        ):
            assert (allowed is None) == (asked.choices is None)
            expected = logprobs_after(ids, asked.temperature, allowed)
            assert logprob == pytest.approx(float(expected[token]), abs=1e-5)
            ids.append(token)
        assert 1 <= len(result.ids) <= asked.max_new_tokens
        assert result.finished == (result.ids[-1] == END)
        if asked.choices is not None and result.finished:
            assert tuple(result.ids[:-1]) in asked.choices


def test_a_choice_takes_a_call_per_fork_and_none_for_what_has_no_alternative() -> None:
    backend = Backend()
    one_way, two_ways = request("a", [5, 6], choices=((7, 8),)), request("b", [5], choices=CHOICES)
    first, second = generator(backend).generate([one_way, two_ways])
    assert first.ids == [7, 8, END]
    assert first.logprobs == [0.0, 0.0, 0.0]
    forks = [allowed for allowed in second.allowed if allowed is not None and len(allowed) > 1]
    assert [call.allowed for call in backend.calls] == forks
    assert all(call.max_tokens == 1 for call in backend.calls)
    for call in backend.calls:
        sampled = len(call.ids) - 1
        assert call.ids == [5, *second.ids[:sampled]]


def test_free_replies_carry_limits_temperatures_and_stop_strings() -> None:
    backend = Backend(seed=2)
    stop = tuple(str(token) for token in range(4, 20))
    (result,) = generator(backend).generate([request("a", [5], 30, temperature=0.7, stop=stop)])
    (call,) = backend.calls
    assert call == SampleCall([5], 30, END, 0.7, None, stop)
    assert result.stopped and not result.finished
    assert str(result.ids[-1]) in stop
    choice = request("b", [5], choices=CHOICES, stop=stop)
    (result,) = generator(backend).generate([choice])
    assert not result.stopped and tuple(result.ids[:-1]) in CHOICES


def test_greedy_replies_have_no_logprob() -> None:
    (result,) = generator(Backend()).generate([request("a", [5, 9], temperature=0.0)])
    ids = [5, 9]
    for token in result.ids:
        assert token == int(logprobs_after(ids, 0.0, None).argmax())
        ids.append(token)
    assert result.logprobs == [0.0] * len(result.ids)


def test_what_was_cached_is_told_of_the_first_call() -> None:
    backend = Backend()
    two_forks = ((6, 10), (6, 11), (7, 10), (7, 11))
    results = generator(backend).generate(
        [request("a", [5] * 40), request("b", [5] * 31, choices=two_forks)]
    )
    assert sorted(len(call.ids) for call in backend.calls) == [31, 32, 40]
    assert [result.num_cached for result in results] == [32, 16]


def test_replies_come_one_by_one_and_rows_may_go_on_meanwhile() -> None:
    stream = generator(Backend(seed=4))
    stream.submit([request(row, [5, 6]) for row in range(3)])
    ((first, _),) = stream.poll()
    stream.submit([request(first, [5, 6, 7]), request("new", [8])])
    with pytest.raises(ValueError, match="twice"):
        stream.submit([request("new", [8])])
    rows = [row for _ in range(4) for row, _ in stream.poll()]
    assert sorted(map(str, rows)) == ["0", "1", "2", "new"]
    assert stream.poll() == []


def test_impossible_requests_are_refused_before_any_is_begun() -> None:
    backend = Backend()
    for wrong, words in (
        (request("b", []), "empty"),
        (request("b", [5] * 255), "max_context"),
        (request("b", [5], stop=("",)), "stop string"),
        (request("a", [5]), "twice"),
    ):
        with pytest.raises(ValueError, match=words):
            generator(backend).submit([request("a", [5]), wrong])
    assert backend.calls == []
    with pytest.raises(ValueError, match="max_row_tokens"):
        VLLMGenerator(backend, end_token_id=END, max_context=257)


def test_processes_of_unequal_games_stay_in_step() -> None:
    """Two processes of a split model: each call of one is a call of both, until the end."""
    rounds = ([3, 1], [2, 2, 4, 1, 1])
    shares: list[Share] = [Share([], True)] * 2
    barrier = threading.Barrier(2)
    backends = [Backend(), Backend()]
    results: list[list[list[GenerationResult]]] = [[], []]

    def play(index: int) -> None:
        def gather(share: Share) -> list[Share]:
            shares[index] = share
            barrier.wait(30)
            both = list(shares)
            barrier.wait(30)
            return both

        try:
            with LockstepGenerator(generator(backends[index]), gather, index) as lockstep:
                for number, size in enumerate(rounds[index]):
                    asked = [request(row, [5 + index, 9 + row, 4 + number]) for row in range(size)]
                    results[index].append(lockstep.generate(asked))
        except BaseException:
            barrier.abort()
            raise

    threads = [threading.Thread(target=play, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not barrier.broken and not any(thread.is_alive() for thread in threads)
    # The same calls in both, so that the parts of the model compute the same.
    assert backends[0].calls == backends[1].calls
    assert [backend.entered for backend in backends] == [0, 0]
    for index, sizes in enumerate(rounds):
        assert [len(each) for each in results[index]] == sizes
        for number, each in enumerate(results[index]):
            for row, result in enumerate(each):
                ids = [5 + index, 9 + row, 4 + number]
                score = logprobs_after(ids, 1.0, None)[result.ids[0]]
                assert result.logprobs[0] == pytest.approx(float(score), abs=1e-5)


def test_a_process_that_failed_waits_for_nobody() -> None:
    def gather(share: Share) -> list[Share]:
        raise AssertionError("the others may be anywhere")

    with (
        pytest.raises(KeyError),
        LockstepGenerator(generator(backend := Backend()), gather, 0),
    ):
        raise KeyError
    assert backend.entered == 0
