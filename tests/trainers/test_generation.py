"""Sampling with a cache between turns equals plain forward passes over whole rows."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LlamaForCausalLM, MistralConfig, MistralForCausalLM

from omar_envs.errors import PolicyError
from omar_trainers.generation import GenerationRequest, TransformersGenerator
from omar_trainers.house.model import house_config, new_house_model
from omar_trainers.reply import StopFinder, text_before_stop
from omar_trainers.trie import ChoiceTrie

END, PAD, WORDS = 3, 0, 40


def model(seed: int = 0) -> LlamaForCausalLM:
    config = house_config(
        WORDS, pad_token_id=PAD, end_token_id=END, hidden_size=32, num_layers=2, max_context=256
    )
    return new_house_model(config, seed=seed)


MODEL = model()


def generator(lm: LlamaForCausalLM = MODEL, seed: int = 0, **limits: Any) -> TransformersGenerator:
    return TransformersGenerator(
        lm, end_token_id=END, pad_token_id=PAD, seed=seed, **{"max_context": 256, **limits}
    )


def full_logprobs(
    lm: LlamaForCausalLM,
    row: list[int],
    start: int,
    temperature: float,
    allowed: list[tuple[int, ...] | None],
) -> list[float]:
    """Log-probabilities of row[start:] by one forward pass without cache or padding."""
    with torch.inference_mode():
        logits = lm(input_ids=torch.tensor([row])).logits[0, start - 1 : -1].float()
    scores = []
    for token, line, legal in zip(row[start:], logits / temperature, allowed, strict=True):
        if legal is not None:
            masked = torch.full_like(line, -math.inf)
            masked[list(legal)] = line[list(legal)]
            line = masked
        scores.append(float(line.log_softmax(-1)[token]))
    return scores


def random_words(rng: random.Random, count: int) -> list[int]:
    return [rng.randrange(4, WORDS) for _ in range(count)]


CHOICES = ((5,), (6, 7), (6, 7, 8), (9, 10), (11, 12, 13))


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    turns=st.integers(1, 4),
    max_batch_tokens=st.sampled_from([1, 150, 10_000]),
    max_prefill_tokens=st.sampled_from([1, 30, 10_000]),
)
def test_logprobs_equal_a_full_forward_pass(
    seed: int, turns: int, max_batch_tokens: int, max_prefill_tokens: int
) -> None:
    rng = random.Random(seed)
    sampler = generator(
        seed=seed, max_batch_tokens=max_batch_tokens, max_prefill_tokens=max_prefill_tokens
    )
    rows = {key: random_words(rng, rng.randint(1, 30)) for key in range(6)}
    for _ in range(turns):
        asked = rng.sample(sorted(rows), rng.randint(1, len(rows)))
        requests = [
            GenerationRequest(
                row=key,
                ids=rows[key],
                max_new_tokens=rng.randint(1, 6),
                choices=rng.choice([None, CHOICES]),
                temperature=rng.choice([0.7, 1.0, 1.5]),
            )
            for key in asked
        ]
        for request, result in zip(requests, sampler.generate(requests), strict=True):
            row = [*request.ids, *result.ids]
            expected = full_logprobs(
                MODEL, row, len(request.ids), request.temperature, result.allowed
            )
            assert result.logprobs == pytest.approx(expected, abs=1e-4)
            assert 1 <= len(result.ids) <= request.max_new_tokens
            assert result.finished == (result.ids[-1] == END)
            assert END not in result.ids[:-1]
            assert all((legal is None) == (request.choices is None) for legal in result.allowed)
            if result.finished and request.choices is not None:
                assert tuple(result.ids[:-1]) in request.choices
            rows[request.row] = row + random_words(rng, rng.randint(1, 12))


def test_greedy_equals_stepwise_argmax() -> None:
    lm = model(seed=3)
    row = random_words(random.Random(1), 20)
    request = GenerationRequest("row", row, 8, None, 0.0)
    (result,) = generator(lm).generate([request])
    expected: list[int] = []
    with torch.inference_mode():
        while len(expected) < 8 and END not in expected:
            logits = lm(input_ids=torch.tensor([row + expected])).logits[0, -1]
            expected.append(int(logits.argmax()))
    assert result.ids == expected
    assert result.logprobs == [0.0] * len(expected)


def test_greedy_choice_is_the_best_allowed_one() -> None:
    row = random_words(random.Random(2), 20)
    choices = ((5,), (6,), (7,))
    (result,) = generator().generate([GenerationRequest("row", row, 2, choices, 0.0)])
    with torch.inference_mode():
        logits = MODEL(input_ids=torch.tensor([row])).logits[0, -1]
    assert result.ids == [5 + int(logits[5:8].argmax()), END]
    assert result.allowed == [(5, 6, 7), (END,)]


def test_samples_follow_the_softmax_at_the_temperature() -> None:
    row = random_words(random.Random(4), 12)
    count = 4000
    requests = [GenerationRequest(i, row, 2, ((5,), (6,), (7,)), 0.5) for i in range(count)]
    sampled = [result.ids[0] for result in generator(seed=7).generate(requests)]
    with torch.inference_mode():
        logits = MODEL(input_ids=torch.tensor([row])).logits[0, -1, 5:8]
    for token, share in zip((5, 6, 7), (logits / 0.5).softmax(0).tolist(), strict=True):
        spread = math.sqrt(share * (1 - share) / count)
        assert sampled.count(token) / count == pytest.approx(share, abs=5 * spread)


def test_seed_decides_and_global_generator_is_left_alone() -> None:
    row = random_words(random.Random(5), 10)
    requests = [GenerationRequest(i, row, 6, None, 1.0) for i in range(8)]
    state = torch.random.get_rng_state()
    first, again, other = (generator(seed=s).generate(requests) for s in (1, 1, 2))
    assert first == again
    assert first != other
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_row_that_did_not_only_grow_is_read_anew() -> None:
    rng = random.Random(6)
    sampler = generator()
    first = random_words(rng, 25)
    sampler.generate([GenerationRequest("row", first, 3, None, 1.0)])
    for changed in (random_words(rng, 40), first[:10], first):
        (result,) = sampler.generate([GenerationRequest("row", changed, 3, None, 1.0)])
        expected = full_logprobs(MODEL, [*changed, *result.ids], len(changed), 1.0, result.allowed)
        assert result.logprobs == pytest.approx(expected, abs=1e-4)


def test_forget_makes_new_weights_count() -> None:
    lm = model(seed=8)
    sampler = generator(lm)
    row = random_words(random.Random(8), 20)
    (before,) = sampler.generate([GenerationRequest("row", row, 3, None, 1.0)])
    with torch.no_grad():
        for weight in lm.parameters():
            weight.mul_(1.1)
    sampler.forget()
    grown = [*row, *before.ids, 5, 6]
    (result,) = sampler.generate([GenerationRequest("row", grown, 3, None, 1.0)])
    expected = full_logprobs(lm, [*grown, *result.ids], len(grown), 1.0, result.allowed)
    assert result.logprobs == pytest.approx(expected, abs=1e-4)


def test_tokens_in_the_cache_are_not_fed_again() -> None:
    lm = model()
    sampler = generator(lm)
    fed: list[int] = []
    lm.register_forward_pre_hook(
        lambda _module, _args, kwargs: fed.append(kwargs["input_ids"].shape[1]), with_kwargs=True
    )
    row = random_words(random.Random(9), 50)
    (result,) = sampler.generate([GenerationRequest("row", row, 2, ((5,), (6,)), 1.0)])
    assert fed == [50]  # the forced end token takes no forward pass
    sampler.generate([GenerationRequest("row", [*row, *result.ids, 7, 8], 2, ((5,),), 1.0)])
    assert fed == [50]  # nor does a choice without an alternative
    grown = [*row, *result.ids, 7, 8, 5, END, 9]
    sampler.generate([GenerationRequest("row", grown, 2, ((5,), (6,)), 1.0)])
    assert fed == [50, 7]


def test_finished_rows_leave_the_batch() -> None:
    lm = model()
    sizes: list[int] = []
    lm.register_forward_pre_hook(
        lambda _module, _args, kwargs: sizes.append(kwargs["input_ids"].shape[0]),
        with_kwargs=True,
    )
    sampler = generator(lm)
    sizes.clear()
    row = random_words(random.Random(10), 5)
    sampler.generate(
        [GenerationRequest(i, row, 1 + i, ((5, 6, 7, 8), (6, 5, 7, 8)), 1.0) for i in range(3)]
        + [GenerationRequest(9, row, 3, ((5, 6), (5, 7), (5, 8)), 1.0)]
    )
    assert sizes == [4]  # the first reply tokens are sampled, all others forced
    assert generator(lm).generate([]) == []


def test_training_mode_and_attention_are_put_back() -> None:
    lm = model().train()
    generator(lm).generate([GenerationRequest(0, [5, 6], 2, None, 1.0)])
    assert lm.training
    assert lm.config._attn_implementation == "sdpa"


def test_layers_that_are_recomputed_in_training_keep_a_cache() -> None:
    plain, lm = model(), model().train()
    lm.activation_checkpointing_enable({"use_reentrant": False})
    row = random_words(random.Random(2), 9)
    for _ in range(2):
        requests = [GenerationRequest(0, row, 3, None, 0.0)]
        found = generator(lm).generate(requests)
        assert found == generator(plain).generate(requests)
        row = [*row, *found[0].ids, *random_words(random.Random(3), 2)]
    assert lm.training


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_logits_that_are_no_numbers_are_an_error(value: float) -> None:
    lm = model()
    with torch.no_grad():
        lm.get_output_embeddings().weight[7] = value
    sampler = generator(lm)
    for temperature in (0.0, 1.0):
        with pytest.raises(PolicyError, match="no numbers"):
            sampler.generate([GenerationRequest(0, [5, 6], 2, None, temperature)])
    # Only what may be said counts.
    choice = GenerationRequest(1, [5, 6], 3, ((5,), (6,)), 1.0)
    assert sampler.generate([choice])[0].finished


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_bfloat16_is_close_to_its_own_full_pass(attention: str) -> None:
    lm = model(seed=2).to(torch.bfloat16)
    lm.set_attn_implementation(attention)
    sampler = generator(lm)
    rng = random.Random(11)
    rows = [random_words(rng, 5 + 7 * i) for i in range(4)]
    for _ in range(2):
        requests = [GenerationRequest(i, row, 4, None, 1.0) for i, row in enumerate(rows)]
        for i, result in enumerate(sampler.generate(requests)):
            row = [*rows[i], *result.ids]
            expected = full_logprobs(lm, row, len(rows[i]), 1.0, result.allowed)
            assert result.logprobs == pytest.approx(expected, abs=0.1)
            rows[i] = [*row, *random_words(rng, 5)]


def played_gap(lm: LlamaForCausalLM, sampler: TransformersGenerator, rounds: int = 3) -> float:
    """Mean gap between the sampler's logprobs and a full pass under bfloat16 autocast."""
    rng = random.Random(12)
    rows = [random_words(rng, 5 + 9 * i) for i in range(6)]
    gaps = []
    for _ in range(rounds):
        requests = [GenerationRequest(i, row, 6, None, 1.0) for i, row in enumerate(rows)]
        for i, result in enumerate(sampler.generate(requests)):
            row = [*rows[i], *result.ids]
            with torch.autocast("cpu", torch.bfloat16):
                expected = full_logprobs(lm, row, len(rows[i]), 1.0, result.allowed)
            gaps += [abs(a - b) for a, b in zip(result.logprobs, expected, strict=True)]
            rows[i] = [*row, *random_words(rng, 5)]
    return sum(gaps) / len(gaps)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_logprobs_equal_a_full_forward_pass() -> None:
    lm = model(seed=3)
    sampler = generator(model(seed=3).to("cuda"))
    rng = random.Random(13)
    rows = [random_words(rng, 5 + 7 * i) for i in range(8)]
    for _ in range(3):
        requests = [GenerationRequest(i, row, 6, None, 1.0) for i, row in enumerate(rows)]
        for i, result in enumerate(sampler.generate(requests)):
            row = [*rows[i], *result.ids]
            expected = full_logprobs(lm, row, len(rows[i]), 1.0, result.allowed)
            assert result.logprobs == pytest.approx(expected, abs=1e-3)
            rows[i] = [*row, *random_words(rng, 5)]


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_autocast_samples_in_the_precision_that_is_learned_in(attention: str) -> None:
    lm = model(seed=2)
    for parameter in lm.parameters():
        parameter.data *= 1.5  # larger logits, of which bfloat16 loses more
    lm.set_attn_implementation(attention)
    in_float32 = played_gap(lm, generator(lm))
    in_bfloat16 = played_gap(lm, generator(lm, autocast=torch.bfloat16))
    assert in_bfloat16 < in_float32 / 2
    assert {parameter.dtype for parameter in lm.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (GenerationRequest("r", [], 1, None, 1.0), "empty"),
        (GenerationRequest("r", [5], 0, None, 1.0), "max_new_tokens"),
        (GenerationRequest("r", [5], 1, None, -1.0), "temperature"),
        (GenerationRequest("r", [5] * 250, 7, None, 1.0), "max_context"),
        (GenerationRequest("r", [5], 1, (), 1.0), "at least one choice"),
        (GenerationRequest("r", [5], 1, ((),), 1.0), "no tokens"),
        (GenerationRequest("r", [5], 1, ((6,), (6,)), 1.0), "same token ids"),
    ],
)
def test_impossible_requests_are_refused(request_: GenerationRequest, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        generator().generate([request_])


def test_one_row_is_asked_for_once_per_call() -> None:
    request = GenerationRequest("r", [5], 1, None, 1.0)
    with pytest.raises(ValueError, match="twice"):
        generator().generate([request, request])


def test_sliding_windows_within_the_context_are_refused() -> None:
    config = MistralConfig(
        vocab_size=WORDS,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        sliding_window=8,
        pad_token_id=PAD,
        eos_token_id=END,
    )
    lm = MistralForCausalLM(config)
    with pytest.raises(ValueError, match="attends to 8 tokens only"):
        generator(lm, max_context=64)
    assert generator(lm, max_context=8).max_context == 8


def test_trie_allows_the_end_after_a_label_that_begins_another() -> None:
    trie = ChoiceTrie(((5,), (5, 6), (7, 8)))
    assert trie.allowed((), END) == (5, 7)
    assert trie.allowed((5,), END) == (END, 6)
    assert trie.allowed((5, 6), END) == (END,)
    assert trie.allowed((7,), END) == (8,)
    with pytest.raises(KeyError):
        trie.allowed((8,), END)


def spelled(ids: Sequence[int]) -> str:
    """Token 4 reads "a", 5 "b", …; special tokens read as nothing."""
    return "".join(chr(93 + i) if i < 28 else f"<{i}>" for i in ids if i > END)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), stop=st.sampled_from([("b", "fg"), ("<30>",), ("abc", "0")]))
def test_a_reply_ends_with_the_token_that_completes_a_stop_string(
    seed: int, stop: tuple[str, ...]
) -> None:
    lm = model(seed=1)
    sampler = TransformersGenerator(
        lm, end_token_id=END, pad_token_id=PAD, seed=seed, max_context=256, decode=spelled
    )
    rng = random.Random(seed)
    requests = [
        GenerationRequest(row, random_words(rng, 5), 20, CHOICES if row == 3 else None, 2.0, stop)
        for row in range(4)
    ]
    for request, result in zip(requests, sampler.generate(requests), strict=True):
        text = spelled(result.ids)
        if request.choices is not None:
            assert not result.stopped and tuple(result.ids[:-1]) in CHOICES
            continue
        assert result.stopped == any(each in text for each in stop)
        assert not any(each in spelled(result.ids[:-1]) for each in stop)
        assert result.stopped or result.finished or len(result.ids) == 20


def test_stop_strings_need_eyes() -> None:
    request = GenerationRequest("r", [5], 4, None, 1.0, ("b",))
    with pytest.raises(ValueError, match="decode"):
        generator().generate([request])


def test_stop_strings_of_several_tokens_and_parts_of_characters_are_found() -> None:
    pieces = {1: "\ufffd", 2: "x", 3: "end", 4: " "}

    def decode(ids: Sequence[int]) -> str:
        text = "".join(pieces[i] for i in ids).replace("\ufffd\ufffd", "。")
        return text.strip(" ") if len(ids) == 1 else text

    finder = StopFinder(decode)
    assert not finder.reached([2, 1], ("。",))
    assert finder.reached([2, 1, 1], ("。",))
    assert finder.reached([3, 4], ("end ",))
    assert not finder.reached([2, 4], ("end ",))
    assert text_before_stop("a STOP b END", ("END", "STOP")) == "a "
    assert text_before_stop("a b", ("END",)) == "a b"


def test_what_was_read_before_is_told() -> None:
    sampler = generator()
    row = random_words(random.Random(12), 30)
    (first,) = sampler.generate([GenerationRequest("row", row, 4, None, 1.0)])
    assert first.num_cached == 0
    grown = [*row, *first.ids, 7, 8, 9]
    (second,) = sampler.generate([GenerationRequest("row", grown, 4, None, 1.0)])
    assert second.num_cached == len(row) + len(first.ids) - 1
