"""What stands between a policy and vLLM: calls, choices, order, and processes in step.

vLLM itself is checked in checks/vllm; here a small model answers in its place.
"""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace, TracebackType
from typing import Any, Self

import pytest
import requests
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from omar_trainers.generation import GenerationRequest, GenerationResult
from omar_trainers.house.model import house_config, new_house_model
from omar_trainers.vllm.backends import EngineBackend, ServerBackend
from omar_trainers.vllm.generator import SampleCall, Sampled, VLLMGenerator
from omar_trainers.vllm.lockstep import Gather, LockstepGenerator, Share
from omar_trainers.vllm.setup import takes_seeds

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
    assert call == SampleCall("a", [5], 30, END, 0.7, None, stop)
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


def in_step(play: Callable[[int, Gather], None]) -> list[str]:
    """Two processes, as threads. -> how each ended; "" for one that played out"""
    shares: list[Share] = [Share([], True)] * 2
    barrier = threading.Barrier(2)
    ended = ["hangs"] * 2

    def process(index: int) -> None:
        def gather(share: Share) -> list[Share]:
            shares[index] = share
            barrier.wait(10)
            both = list(shares)
            barrier.wait(10)
            return both

        try:
            play(index, gather)
            ended[index] = ""
        except threading.BrokenBarrierError:
            ended[index] = "waited in vain"
        except Exception as error:
            ended[index] = str(error)

    threads = [threading.Thread(target=process, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return ended


@pytest.mark.parametrize(
    ("fails_after", "others_rounds"), [(1, 3), (0, 3), (3, 1), (2, 2)], ids=str
)
@pytest.mark.parametrize("failing", [0, 1])
def test_a_process_that_fails_takes_the_others_with_it(
    failing: int, fails_after: int, others_rounds: int
) -> None:
    """Whether the other one is amid its games or has played out."""
    backends = [Backend(), Backend()]

    def play(index: int, gather: Gather) -> None:
        with LockstepGenerator(generator(backends[index]), gather, index) as lockstep:
            for _ in range(fails_after if index == failing else others_rounds):
                lockstep.generate([request(0, [5])])
            if index == failing:
                raise ValueError("rank has no memory")

    ended = in_step(play)
    assert ended[failing] == "rank has no memory"
    assert "ValueError: rank has no memory" in ended[1 - failing]
    assert "another process" in ended[1 - failing]
    assert [backend.entered for backend in backends] == [0, 0]


def test_both_may_fail_and_one_may_fail_to_begin() -> None:
    def both(index: int, gather: Gather) -> None:
        with LockstepGenerator(generator(Backend()), gather, index):
            raise ValueError(f"own error {index}")

    assert in_step(both) == ["own error 0", "own error 1"]

    class Broken(Backend):
        def __enter__(self) -> Self:
            raise ValueError("cannot wake up")

    def one(index: int, gather: Gather) -> None:
        backend = Broken() if index else Backend()
        with LockstepGenerator(generator(backend), gather, index) as lockstep:
            lockstep.generate([request(0, [5])])

    told, own = in_step(one)
    assert own == "cannot wake up" and own in told


# --- errors ---------------------------------------------------------------------


class Failing(Backend):
    """Fails once, or loses what it was sent."""

    def __init__(self, *, loses: bool = False) -> None:
        super().__init__()
        self._fails, self._loses = not loses, loses

    def wait(self) -> list[tuple[int, Sampled]]:
        if self._loses:
            return []
        if self._fails:
            self._fails = False
            raise RuntimeError("the server is gone")
        return super().wait()


def test_after_an_error_nothing_is_left_of_what_was_under_way() -> None:
    stream = generator(backend := Failing())
    stream.submit([request("a", [5, 6]), request("b", [7])])
    with pytest.raises(RuntimeError, match="gone"):
        stream.poll()
    assert stream.poll() == []
    # The rows may be asked again; late answers to the old calls are passed over.
    results = stream.generate([request("a", [5, 6], 1), request("b", [7], 1)])
    assert [len(result.ids) for result in results] == [1, 1]
    assert len(backend.calls) == 4


def test_lost_calls_are_an_error_and_no_endless_wait() -> None:
    with pytest.raises(RuntimeError, match="lost"):
        generator(Failing(loses=True)).generate([request("a", [5])])


class Engine:
    """What :class:`EngineBackend` uses of vLLM's ``LLM``; notes what it is told."""

    def __init__(self, *, fails_at: str = "") -> None:
        self.llm_engine = self
        self.model_config = SimpleNamespace(logprobs_mode="processed_logprobs", max_model_len=64)
        self.told: list[str] = []
        self._fails_at = fails_at

    def _note(self, what: str) -> None:
        self.told.append(what)
        if what == self._fails_at:
            raise ValueError(f"no {what}")

    def wake_up(self, tags: list[str]) -> None:
        self._note("wake")

    def sleep(self, level: int) -> None:
        self._note("sleep")
        random.random()

    def abort_request(self, names: list[str]) -> None:
        self._note("abort")


@pytest.mark.parametrize(
    ("fails_at", "told"),
    [
        ("", ["wake", "abort", "sleep"]),
        ("wake", ["wake"]),
        ("abort", ["wake", "abort", "sleep"]),
        ("sleep", ["wake", "abort", "sleep"]),
    ],
)
def test_an_engine_is_left_asleep_and_the_process_as_it_was(fails_at: str, told: list[str]) -> None:
    engine = Engine(fails_at=fails_at)
    before = (random.getstate(), torch.get_rng_state().tolist())
    with (
        pytest.raises(ValueError, match=f"no {fails_at}") if fails_at else nullcontext(),
        EngineBackend(engine, seed=1, sleeps=True),  # type: ignore[arg-type]
    ):
        random.random()
    assert engine.told == told
    assert (random.getstate(), torch.get_rng_state().tolist()) == before


# --- a server -------------------------------------------------------------------


class Server(ThreadingHTTPServer):
    """Answers completions by the prompt's first token: 1 refuses, 2 says nothing for long."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[dict[str, Any]] = []
        self.slow_asked, self.release = threading.Event(), threading.Event()
        self.waited_in_vain = False

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(asked)
        first = asked["prompt"][0]
        if first == 2:
            self.server.slow_asked.set()
            self.server.waited_in_vain |= not self.server.release.wait(20)
        if first == 1:
            self.server.slow_asked.wait(20)
        choice = {"token_ids": [END], "logprobs": {"token_logprobs": [-1.0]}, "stop_reason": END}
        answer = json.dumps({"choices": [choice], "usage": {}}).encode()
        self.send_response(400 if first == 1 else 200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        with suppress(BrokenPipeError, ConnectionResetError):
            self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.release.set()
        running.shutdown()
        thread.join()


def at_server(server: Server, **more: Any) -> VLLMGenerator:
    client = SimpleNamespace(base_url=server.base_url, model="m", session=requests.Session())
    client.session.trust_env = False  # no proxies
    backend = ServerBackend(
        client,  # type: ignore[arg-type]
        **{"max_context": 256, "concurrency": 4, "seed": 7, **more},
    )
    return VLLMGenerator(backend, end_token_id=END, max_context=256)


def seeds_of(server: Server, seed: int | None, rows: Sequence[GenerationRequest]) -> dict[str, int]:
    """The seeds that were sent, by prompt."""
    server.asked.clear()
    with at_server(server, seed=seed) as sampler:
        sampler.generate(rows)
    return {str(asked["prompt"]): asked["seed"] for asked in server.asked if "seed" in asked}


def test_every_call_has_a_seed_of_its_own_whatever_the_order(server: Server) -> None:
    rows = [request((game, "a"), [5, 6 + game]) for game in range(20)]
    rows.append(request((21, "a"), [5, 6, 7]))
    seeds = seeds_of(server, 7, rows)
    assert len(set(seeds.values())) == len(rows)
    assert all(0 <= seed < 2**63 for seed in seeds.values())
    assert seeds_of(server, 7, rows[::-1]) == seeds
    assert not set(seeds_of(server, 8, rows).values()) & set(seeds.values())
    # A row that has grown, and another row of the same length.
    later = seeds_of(server, 7, [request((0, "a"), [5, 6, 9]), request((1, "b"), [5, 7])])
    assert not set(later.values()) & set(seeds.values())
    assert seeds_of(server, None, rows) == {}


def test_seeds_are_kept_from_servers_that_end_at_them() -> None:
    for device, chunked, takes in (
        ("cuda", True, True),
        ("cpu", True, False),
        ("cpu", False, True),
        ("", True, False),
    ):
        info = {
            "device_config": {"device": device} if device else {},
            "scheduler_config": {"enable_chunked_prefill": chunked},
        }
        assert takes_seeds(info) == takes


def test_an_error_does_not_wait_for_the_other_calls(server: Server) -> None:
    with pytest.raises(RuntimeError, match="answered 400"), at_server(server) as sampler:
        sampler.submit([request("slow", [2]), request("refused", [1])])
        sampler.poll()
    server.release.set()
    assert not server.waited_in_vain


def test_a_server_that_says_nothing_is_an_error(server: Server) -> None:
    with (
        pytest.raises(RuntimeError, match="no answer"),
        at_server(server, timeout=(10.0, 0.1)) as sampler,
    ):
        sampler.generate([request("slow", [2])])
    assert not server.waited_in_vain
