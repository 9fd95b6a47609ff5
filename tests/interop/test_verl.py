"""The contract of verl's agent loops: made by its registry, fed by a server, checked as tokens.

verl samples with vLLM or SGLang on a GPU; here a server that says one name stands in for it.
Everything else is verl's own: the registry, Hydra, the continuous-token builder, the output.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from omar_envs.errors import ConfigError
from omar_envs.integrations.libraries import check
from omar_envs.rollout import make
from omar_envs.wrappers.single_agent import SingleAgentEnv

try:
    check("verl")
except ConfigError as error:
    pytest.skip(str(error), allow_module_level=True)

import hydra
from omegaconf import OmegaConf
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast
from verl.experimental.agent_loop.agent_loop import AgentLoopOutput, DictConfigWrap
from verl.workers.rollout.replica import TokenOutput

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "verl_agent_loops.yaml"
SETTINGS: dict[str, Any] = {"num_players": 5, "roles": {"werewolf": 1, "seer": 1}}
REPLY = "Ana"


def tokenizer() -> PreTrainedTokenizerFast:
    """Bytes, and the marks of a chat."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(BPE({letter: number for number, letter in enumerate(alphabet)}, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",
        chat_template=CHATML,
        clean_up_tokenization_spaces=False,
    )


class Server:
    """Replies with one name, and remembers what it was given."""

    def __init__(self, words: PreTrainedTokenizerFast, log_probs: bool) -> None:
        self._ids = words(f"{REPLY}<|im_end|>")["input_ids"]
        self._log_probs = log_probs
        self.prompts: list[list[int]] = []

    async def generate(
        self, request_id: str, *, prompt_ids: list[int], sampling_params: dict[str, Any]
    ) -> TokenOutput:
        self.prompts.append(list(prompt_ids))
        log_probs = [-0.5] * len(self._ids) if self._log_probs else None
        return TokenOutput(token_ids=list(self._ids), log_probs=log_probs)


def run(
    *,
    log_probs: bool = True,
    response_length: int = 20_000,
    prompt_length: int = 20_000,
    **row: Any,
) -> tuple[AgentLoopOutput, Server, PreTrainedTokenizerFast]:
    words = tokenizer()
    server = Server(words, log_probs)
    config = OmegaConf.create(
        {
            "actor_rollout_ref": {
                "rollout": {"prompt_length": prompt_length, "response_length": response_length}
            },
            "data": {},
        }
    )
    (entry,) = OmegaConf.load(EXAMPLE)  # as agent_loop_config_path names it

    async def play() -> AgentLoopOutput:
        loop = hydra.utils.instantiate(
            entry,
            trainer_config=DictConfigWrap(config),
            server_manager=server,
            tokenizer=words,
            processor=None,
            hf_model_type="qwen2",
            dataset_cls=SimpleNamespace,
            data_config=DictConfigWrap(config.data),
        )
        output: AgentLoopOutput = await loop.run({"temperature": 1.0}, raw_prompt=[], **row)
        return output

    return asyncio.run(play()), server, words


def home(seed: int, seat: int = 0) -> tuple[Any, float]:
    """The same game at home. -> its last view before the last act, and the pay"""
    env = SingleAgentEnv(make("werewolf_v0", SETTINGS), seat, "scripted")
    env.reset(seed=seed)
    total, over, view = 0.0, False, env.view()
    while not over:
        view = env.view()
        _, reward, terminated, truncated, _ = env.step(REPLY)
        total, over = total + reward, terminated or truncated
    return view, total


@pytest.mark.parametrize("log_probs", [True, False])
def test_one_row_is_the_seats_whole_game(log_probs: bool) -> None:
    for seed in range(3):
        output, server, words = run(seed=seed, log_probs=log_probs)
        view, paid = home(seed)
        assert output.reward_score == pytest.approx(paid)
        whole = words.decode(output.prompt_ids + output.response_ids)
        rendered = words.apply_chat_template(
            [dict(message) for message in view.messages], tokenize=False, add_generation_prompt=True
        )
        assert whole.removesuffix("<|im_end|>") == f"{rendered}{REPLY}"
        own = [
            token
            for token, mask in zip(output.response_ids, output.response_mask, strict=True)
            if mask
        ]
        assert words.decode(own) == f"{REPLY}<|im_end|>" * len(server.prompts)
        assert (output.response_logprobs is not None) == log_probs
        if output.response_logprobs is not None:
            assert [value != 0 for value in output.response_logprobs] == [
                bool(mask) for mask in output.response_mask
            ]
        # Rows grow by token ids: what the server was given only ever grew at the end.
        for earlier, later in zip(server.prompts, server.prompts[1:], strict=False):
            assert later[: len(earlier)] == earlier
        output.as_dict()


def test_the_row_of_the_data_set_says_which_game_and_seat() -> None:
    output, _, words = run(extra_info={"seed": 4, "seat": 3})
    view, paid = home(4, 3)
    assert words.decode(output.prompt_ids).count(view.messages[0]["content"]) == 1
    assert output.reward_score == pytest.approx(paid)


def test_a_full_row_is_closed_and_paid() -> None:
    output, server, _ = run(seed=1, response_length=5)
    assert len(output.response_ids) == len(output.response_mask) <= 5
    assert len(server.prompts) < len(run(seed=1)[1].prompts)
    assert output.reward_score != 0


def test_rules_that_do_not_fit_are_an_error() -> None:
    with pytest.raises(ConfigError, match="prompt_length"):
        run(seed=1, prompt_length=100)
