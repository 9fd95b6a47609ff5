"""A policy that plays through any OpenAI-compatible endpoint.

Only a reply that came is play: one that never came stops the run, or is counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

import numpy as np

from omar_envs.endpoint import Answer, ChatRequest, Endpoint, NoAnswer, Outcome
from omar_envs.errors import ConfigError, PolicyError
from omar_envs.metering import Meter, Usage
from omar_envs.sampling import check_sampling, checked_extra, token_limit
from omar_envs.types import View

__all__ = ["PATIENCE", "ChatPolicy", "chat_policy_from_url"]

PATIENCE = 64
"""Failures in a row that ``on_failure="silence"`` bears: after one more the endpoint
counts as gone."""

_KINDS_TOLD = 3
_OWN_FIELDS = {"messages", "model", "n", "stream"}
_TOKEN_LIMITS = {"max_tokens", "max_completion_tokens"}


class ChatPolicy:
    """Asks a chat model for every reply, all views of a batch at once.

    A view's messages are sent as they are, and the content that comes back is the
    reply: "" where there is none, cut where the token limit cut it. Reasoning that a
    server delivers beside the content is left out. The connections close with
    :meth:`close`, with a ``with`` block, or when the interpreter ends.

    Args:
        model: its name at the endpoint.
        base_url: what stands before ``/chat/completions``, as in
            ``http://localhost:8000/v1``; by default ``$OPENAI_BASE_URL``, or OpenAI's.
        api_key: by default ``$OPENAI_API_KEY``, whatever the address; servers that
            want none get a placeholder.
        seed: each request gets a seed of its own, drawn from this one in the order
            of the views; ``None`` sends none. Endpoints promise no more than to try.
        temperature: at least 0; ``None`` leaves it to the endpoint.
        max_tokens: longest reply in tokens, reasoning included; ``None`` leaves it to
            the endpoint.
        concurrency, timeout, max_retries: as for :class:`omar_envs.endpoint.Endpoint`.
        constrain_choices: hold choices to their labels by ``response_format`` with a
            strict JSON schema; the reply is then ``{"choice": label}``.
        on_failure: what happens when a reply never came, after the retries. ``raise``
            stops; ``silence`` makes it an empty reply, which is an invalid act in the
            episode, and counts it in ``usage``. Where it could only be silence from
            then on, ``silence`` stops too: before the first answer of all, when the
            key, the model or the address is refused, and after :data:`PATIENCE`
            failures in a row.
        prices: per million tokens, of the prompt and of the completion, in any currency.
        max_cost: a request that might take ``usage.cost`` past it is not sent, and
            ``act`` raises. Needs ``prices`` and ``max_tokens``. The most that a prompt
            can cost is taken from its bytes, several times its tokens.
        extra_body: further fields of every request, for what only some endpoints
            know: ``{"chat_template_kwargs": {"enable_thinking": False}}``.
        name: what episodes call it; by default the model's name.

    Raises:
        ConfigError: a setting is out of range, there is no key for OpenAI's own
            endpoint, or the library is missing.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        seed: int | None = None,
        temperature: float | None = 1.0,
        max_tokens: int | None = 1024,
        concurrency: int = 32,
        timeout: float = 60.0,
        max_retries: int = 4,
        constrain_choices: bool = False,
        on_failure: Literal["raise", "silence"] = "raise",
        prices: tuple[float, float] | None = None,
        max_cost: float | None = None,
        extra_body: Mapping[str, Any] | None = None,
        name: str | None = None,
    ) -> None:
        check_sampling(seed, temperature, max_tokens)
        if on_failure not in ("raise", "silence"):
            raise ConfigError(f"on_failure must be 'raise' or 'silence': got {on_failure!r}")
        extra = checked_extra(extra_body, _OWN_FIELDS)
        if max_cost is not None and (longer := sorted(_TOKEN_LIMITS & extra.keys())):
            raise ConfigError(
                f"extra_body cannot change {', '.join(longer)} beside max_cost, which counts on "
                "max_tokens: set that"
            )
        self._endpoint = Endpoint(
            model,
            base_url=base_url,
            api_key=api_key,
            concurrency=concurrency,
            timeout=timeout,
            max_retries=max_retries,
            meter=Meter(prices, max_cost, max_tokens),
        )
        fields = {} if temperature is None else {"temperature": temperature}
        limit = token_limit(max_tokens, is_openai=self._endpoint.is_openai)
        self._fields: dict[str, Any] = fields | limit | extra
        self._name = name or model
        self._seed = seed
        self._constrain = constrain_choices
        self._silence = on_failure == "silence"
        self._num_asked = 0
        self._patience = 0

    @property
    def name(self) -> str:
        """What episodes call it."""
        return self._name

    @property
    def usage(self) -> Usage:
        """Requests, failures, tokens and cost so far."""
        return self._endpoint.meter.usage

    def act(self, views: Sequence[View]) -> list[str]:
        """One reply per view.

        Raises:
            PolicyError: the endpoint cannot be used, replies did not come, or
                ``max_cost`` is reached. The message names the endpoint, how many
                and why, and what to do.
            StateError: the policy is closed.
        """
        requests = [self._request(view, self._num_asked + i) for i, view in enumerate(views)]
        self._num_asked += len(views)
        unbearable: list[NoAnswer] = []

        def goes_on(outcome: Outcome) -> bool:
            if isinstance(outcome, Answer):
                self._patience = PATIENCE
            else:
                self._patience -= 1
                if outcome.fatal or not self._silence or self._patience < 0:
                    unbearable.append(outcome)
            return not unbearable

        outcomes = self._endpoint.ask(requests, goes_on)
        if unbearable:
            raise PolicyError(self._complaint(outcomes, unbearable[0]))
        return [outcome.text if isinstance(outcome, Answer) else "" for outcome in outcomes]

    def close(self) -> None:
        """Close the connections. Doing it again does nothing."""
        self._endpoint.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _request(self, view: View, number: int) -> ChatRequest:
        fields = dict(self._fields)
        if self._seed is not None:
            drawn = np.random.SeedSequence([self._seed, number]).generate_state(1)[0]
            fields["seed"] = int(drawn) % 2**31  # some servers keep it in a signed integer
        if self._constrain and view.request is not None and view.request.choices:
            fields["response_format"] = _one_of(view.request.choices)
        return ChatRequest(view.messages, fields)

    def _complaint(self, outcomes: Sequence[Outcome | None], worst: NoAnswer) -> str:
        sent = [outcome for outcome in outcomes if outcome is not None]
        failures = [outcome for outcome in sent if isinstance(outcome, NoAnswer)]
        failures.sort(key=lambda failure: failure is not worst)
        kinds = Counter(failure.what for failure in failures)
        told = [what if n == 1 else f"{what} ({n} times)" for what, n in kinds.items()]
        if len(told) > _KINDS_TOLD:
            told[_KINDS_TOLD:] = ["…"]
        return (
            f"no reply from {self._endpoint.model!r} at {self._endpoint.url} to {len(failures)} "
            f"of {len(sent)} requests: {'; '.join(told)}. {worst.advice}"
        )


def chat_policy_from_url(text: str, *, seed: int | None = None) -> ChatPolicy:
    """The policy that ``URL#model`` names, as in ``http://localhost:8000/v1#Qwen/Qwen3-4B``.

    Args:
        text: also what episodes call the policy.
        seed: as for the class.

    Raises:
        ConfigError: it names no model, the address is none, or as the class.
    """
    url, _, model = text.partition("#")
    if not url or not model:
        raise ConfigError(
            f"an endpoint is named by URL#model, as in http://localhost:8000/v1#NAME: got {text!r}"
        )
    return ChatPolicy(model, base_url=url, seed=seed, name=text)


def _one_of(choices: Sequence[str]) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {"choice": {"type": "string", "enum": list(choices)}},
        "required": ["choice"],
        "additionalProperties": False,
    }
    return {
        "type": "json_schema",
        "json_schema": {"name": "choice", "strict": True, "schema": schema},
    }
