"""vLLM's two ways to be asked: an engine's own loop, and a server's completions.

Both take token ids and give token ids: nothing is tokenized, and the defaults that a
model brings for sampling are overruled.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import requests
import torch
from requests.adapters import HTTPAdapter
from trl.generation.vllm_client import VLLMClient

from omar_trainers.vllm.generator import SampleCall, Sampled

if TYPE_CHECKING:
    from vllm import LLM

LOGPROBS_MODE = "processed_logprobs"


class EngineBackend:
    """A vLLM engine in this process: replies come out of it as they are finished.

    Its random numbers are the process's. While games are played they come from a
    generator of their own, seeded by ``seed``, and are put back afterwards.

    Args:
        llm: the engine, with processed logprobs.
        seed: of the sampling.
        sleeps: whether it was put to sleep between rounds (TRL's sleep mode).

    Raises:
        ValueError: it gives other logprobs than those that are trained on.
    """

    def __init__(self, llm: LLM, *, seed: int, sleeps: bool = False) -> None:
        mode = llm.llm_engine.model_config.logprobs_mode
        if mode != LOGPROBS_MODE:
            raise ValueError(
                f"vLLM must be made with logprobs_mode={LOGPROBS_MODE!r}, not {mode!r}"
            )
        self._llm = llm
        self._engine = llm.llm_engine
        self._seed = seed
        self._sleeps = sleeps
        self._stack = ExitStack()
        self._live: set[str] = set()

    @property
    def max_context(self) -> int:
        """Longest row, in tokens."""
        return self._engine.model_config.max_model_len

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(own_randomness(self._seed))
            if self._sleeps:
                self._llm.wake_up(tags=["kv_cache"])
                stack.callback(self._llm.sleep, level=2)
            stack.callback(self._abort)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def _abort(self) -> None:
        """Clear away what an error left: the engine outlives it."""
        live, self._live = self._live, set()
        self._engine.abort_request(list(live))

    def send(self, number: int, call: SampleCall) -> None:
        """Add a request to those that the engine works on."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        self._live.add(str(number))
        self._engine.add_request(
            str(number),
            {"prompt_token_ids": call.ids},
            SamplingParams(
                temperature=call.temperature,
                max_tokens=call.max_tokens,
                logprobs=0,
                # The end token alone ends a reply, whatever else the model's settings name.
                ignore_eos=True,
                stop_token_ids=[call.end_token_id],
                stop=list(call.stop),
                detokenize=bool(call.stop),
                allowed_token_ids=None if call.allowed is None else list(call.allowed),
                output_kind=RequestOutputKind.FINAL_ONLY,
            ),
        )

    def wait(self) -> list[tuple[int, Sampled]]:
        """Step until a request is finished.

        Raises:
            RuntimeError: one was aborted.
        """
        finished: list[tuple[int, Sampled]] = []
        while not finished and self._engine.has_unfinished_requests():
            for output in self._engine.step():
                if output.finished:
                    self._live.remove(output.request_id)
                    finished.append((int(output.request_id), _sampled(output)))
        return finished


def _sampled(output: Any) -> Sampled:
    """Of vLLM's ``RequestOutput``."""
    (completion,) = output.outputs
    if completion.finish_reason not in ("stop", "length"):
        raise RuntimeError(f"vLLM gave a request up: {completion.finish_reason}")
    ids = list(completion.token_ids)
    return Sampled(
        ids=ids,
        logprobs=[at[token].logprob for at, token in zip(completion.logprobs, ids, strict=True)],
        stopped=isinstance(completion.stop_reason, str),
        num_cached=output.num_cached_tokens,
    )


@contextmanager
def own_randomness(seed: int) -> Iterator[None]:
    """Seed the process's random generators, and put them back afterwards."""
    python, numpy = random.getstate(), np.random.get_state()
    gpus = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(gpus):
        try:
            random.seed(seed)
            np.random.seed(seed % 2**32)
            torch.manual_seed(seed)
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


class ServerBackend:
    """A vLLM server: each request is a call of its own, so no game waits for another.

    Every process of a training run may ask the server by itself.

    Args:
        client: TRL's; its connection is used, with room for all calls at once, and closed.
        max_context: longest row, in tokens, that the server takes.
        concurrency: calls under way at once; more wait here.
        seed: of the sampling: each call has a seed of its own, made of this one, its row,
            and how long that is, so that no reply depends on the order of answers. None
            sends no seeds (a server on the CPU that reads prompts in chunks ends at one:
            "CPU Generator does not use offset").
        timeout: seconds to connect, and to wait for an answer. A reply that took longer
            is asked for once more, then the run ends.
    """

    def __init__(
        self,
        client: VLLMClient,
        *,
        max_context: int,
        concurrency: int,
        seed: int | None,
        timeout: tuple[float, float] = (10.0, 600.0),
    ) -> None:
        self._client = client
        self._url = f"{client.base_url}/v1/completions"
        self._max_context = max_context
        self._concurrency = concurrency
        self._seed = seed
        self._timeout = timeout
        # A connection that the server had closed meanwhile fails in reading, too.
        retries = client.session.get_adapter(self._url).max_retries.new(read=1)
        adapter = HTTPAdapter(max_retries=retries, pool_maxsize=concurrency)
        client.session.mount(client.base_url, adapter)
        self._executor: ThreadPoolExecutor | None = None
        self._calls: dict[Future[Sampled], int] = {}

    @property
    def max_context(self) -> int:
        """Longest row, in tokens."""
        return self._max_context

    def __enter__(self) -> Self:
        self._executor = ThreadPoolExecutor(self._concurrency, thread_name_prefix="vllm")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._executor is not None:
            # After an error nobody waits for what is under way.
            self._executor.shutdown(wait=error is None, cancel_futures=True)
        self._client.session.close()
        self._executor = None
        self._calls.clear()

    def send(self, number: int, call: SampleCall) -> None:
        """Ask in a thread."""
        if self._executor is None:
            raise RuntimeError("the server is asked inside a `with` block only")
        self._calls[self._executor.submit(self._ask, call)] = number

    def wait(self) -> list[tuple[int, Sampled]]:
        """Wait for an answer.

        Raises:
            RuntimeError: the server refused a call, or is gone.
        """
        done, _ = wait(self._calls, return_when=FIRST_COMPLETED)
        return [(self._calls.pop(future), future.result()) for future in done]

    def _ask(self, call: SampleCall) -> Sampled:
        body = {
            "model": self._client.model,
            "prompt": call.ids,
            "max_tokens": call.max_tokens,
            "temperature": call.temperature,
            # What a model's generation_config.json says would hold otherwise.
            "top_p": 1.0,
            "top_k": 0,
            "min_p": 0.0,
            "repetition_penalty": 1.0,
            "logprobs": 0,
            "return_token_ids": True,
            "ignore_eos": True,
            "stop_token_ids": [call.end_token_id],
            "stop": list(call.stop),
        }
        if call.allowed is not None:
            body["allowed_token_ids"] = list(call.allowed)
        if self._seed is not None:
            body["seed"] = call_seed(self._seed, call)
        try:
            response = self._client.session.post(self._url, json=body, timeout=self._timeout)
        except requests.RequestException as error:
            raise RuntimeError(f"the vLLM server at {self._url} gave no answer: {error}") from error
        if response.status_code != 200:
            raise RuntimeError(
                f"the vLLM server at {self._url} answered {response.status_code}: "
                f"{response.text[:500]}"
            )
        answer = response.json()
        (choice,) = answer["choices"]
        details = answer["usage"].get("prompt_tokens_details")
        return Sampled(
            ids=choice["token_ids"],
            logprobs=choice["logprobs"]["token_logprobs"],
            stopped=isinstance(choice["stop_reason"], str),
            num_cached=None if details is None else details["cached_tokens"],
        )


def call_seed(seed: int, call: SampleCall) -> int:
    """A seed (63 bits) for one call: no other one has this row at this length."""
    key = repr((seed, call.row, len(call.ids))).encode()
    return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest()) >> 1
