"""Chat messages to token ids, so that a row only ever grows at the end.

The ids that a model sampled stay as they are: nothing is decoded and encoded
again. Between two replies only the ids of what was said meanwhile are added,
in the tokenizer's own chat template.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

from transformers import PreTrainedTokenizerBase

from omar_envs.types import ChatMessage

_REPLY = "w1"
_THOUGHT = "<think>t1</think>w2"
_PLAIN = "t1 w2"
_END_OF_THOUGHT = "</think>"
_OWN_ARGUMENTS = frozenset(
    {"add_generation_prompt", "chat_template", "conversation", "messages", "tokenize"}
)


def _test_conversation(second_reply: str) -> list[ChatMessage]:
    return [
        {"role": "system", "content": "s1 Rules."},
        {"role": "user", "content": "u1 {a} %s"},
        {"role": "assistant", "content": _REPLY},
        {"role": "user", "content": "u2"},
        {"role": "assistant", "content": second_reply},
        {"role": "user", "content": "u3\nand more"},
    ]


class ChatTokenizer:
    """A tokenizer and its chat template, checked to grow at the end only.

    Where the template itself does not (stock Qwen3 strips earlier thinking), the
    training template that TRL has for it is used.

    Special tokens written out inside a message are taken apart before
    templating: what a player writes never becomes a special token.

    Args:
        tokenizer: with a chat template, and an end-of-sequence token that ends
            an assistant message.
        template_kwargs: arguments of the template, such as ``enable_thinking`` of
            Qwen3's, used whenever anything is rendered.

    Attributes:
        tokenizer: as given, never changed.
        end_token_id: ends every reply.
        pad_token_id: the pad token, or the end token where there is none.

    Raises:
        ValueError: no end token, no template, or one that rewrites what it has
            already said and that TRL does not know either; or ``template_kwargs`` has
            an argument that is no template's.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        template_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        self._template_kwargs = dict(template_kwargs or {})
        if refused := sorted(_OWN_ARGUMENTS & set(self._template_kwargs)):
            raise ValueError(
                f"{', '.join(refused)} cannot be set for the chat template: give only its own "
                "arguments, such as enable_thinking"
            )
        if not tokenizer.chat_template:
            raise ValueError("the tokenizer has no chat template: set tokenizer.chat_template")
        if tokenizer.eos_token_id is None:
            raise ValueError("the tokenizer has no end token: set tokenizer.eos_token")
        self.tokenizer = tokenizer
        self.end_token_id: int = tokenizer.eos_token_id
        pad = tokenizer.pad_token_id
        self.pad_token_id: int = self.end_token_id if pad is None else pad
        self._special = _special_pattern(tokenizer)
        self._template: str | None = None
        self._user_turn: Callable[[str], tuple[int, ...]] = self._encode_user_turn
        problem = self._adopt_template()
        if problem:
            self._template = _training_template(tokenizer, problem)
            problem = self._adopt_template()
        if problem:
            raise ValueError(f"the chat template cannot be used, nor TRL's for it: {problem}")
        self._choice = lru_cache(maxsize=4096)(self._encode_choice)
        # Agents of a stage, and of all games at that stage, are often told the same.
        self._user_turn = lru_cache(maxsize=4096)(self._encode_user_turn)

    def suffix(
        self, messages: Sequence[ChatMessage], *, num_seen: int = 0, finished: bool = True
    ) -> list[int]:
        """Token ids to append to a row, up to where the next reply begins.

        Args:
            messages: all chat messages so far, the last one from the user.
            num_seen: how many of them the row held when its last reply was
                sampled; 0 for a new row. ``messages[num_seen]`` is that reply
                and is not encoded: its sampled ids are in the row already.
            finished: whether the last reply ended with the end token; if not,
                the suffix begins with it.

        Raises:
            ValueError: what follows the row is not its reply and one user message.
        """
        if num_seen == 0:
            clean = [{**m, "content": self._clean(m["content"])} for m in messages]
            return self._encode(self._render(clean))
        new = list(messages[num_seen:])
        if [m["role"] for m in new] != ["assistant", "user"]:
            raise ValueError(
                f"messages[{num_seen}:] must be the reply in the row and one user message, got "
                f"roles {[m['role'] for m in new]}"
            )
        ids = self._user_turn(new[1]["content"])
        return [*ids] if finished else [self.end_token_id, *ids]

    def choice_ids(self, label: str) -> tuple[int, ...]:
        """Token ids of a label, without the end token.

        Raises:
            ValueError: the tokenizer cannot spell it, so nobody could choose it.
        """
        return self._choice(label)

    def encode_reply(self, text: str) -> list[int]:
        """Token ids of a reply that no model sampled, with the end token."""
        return [*self._encode(self._clean(text)), self.end_token_id]

    def decode(self, ids: Sequence[int]) -> str:
        """Text of a sampled reply, without the end token and other special tokens."""
        return decode_reply(self.tokenizer, ids)

    def _clean(self, text: str) -> str:
        while self._special.search(text):
            text = self._special.sub(lambda match: f"{match[0][0]} {match[0][1:]}", text)
        return text

    def _encode(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False)

    def _encode_user_turn(self, content: str) -> tuple[int, ...]:
        return tuple(self._encode(self._before_user + self._clean(content) + self._after_user))

    def _encode_choice(self, label: str) -> tuple[int, ...]:
        ids = self._encode(self._clean(label))
        if not ids or self.decode(ids) != label:
            raise ValueError(
                f"the tokenizer cannot spell the choice {label!r}: it reads back as "
                f"{self.decode(ids)!r}; use other names, or a tokenizer that knows them"
            )
        return tuple(ids)

    def _render(self, messages: Sequence[ChatMessage]) -> str:
        return self.tokenizer.apply_chat_template(
            list(messages),
            tokenize=False,
            add_generation_prompt=True,
            chat_template=self._template,
            **self._template_kwargs,
        )

    def _adopt_template(self) -> str:
        """Learn the pieces around a user message. -> what is wrong, "" if nothing."""
        talk = _test_conversation(_THOUGHT)
        if self._render(talk[:2]).rstrip().endswith(_END_OF_THOUGHT):
            # The prompt itself ends the thinking, so no reply has any.
            talk = _test_conversation(_PLAIN)
        prompts = [self._render(talk[:n]) for n in (2, 4, 6)]
        turns = []
        for earlier, later in pairwise(prompts):
            if not later.startswith(earlier):
                return f"the prompt {earlier!r} is no prefix of the later {later!r}"
            turns.append(later[len(earlier) :])
        end = self.tokenizer.eos_token
        replies, rests = zip(*(turn.partition(end)[::2] for turn in turns), strict=True)
        for words, reply in zip((("w1",), ("t1", "w2")), replies, strict=True):
            if not all(word in reply for word in words):
                return f"an earlier reply is rendered as {reply!r}, which leaves out some of it"
        first, second = (
            rest.partition(message["content"])[::2]
            for rest, message in zip(rests, (talk[3], talk[5]), strict=True)
        )
        if first != second:
            return f"a user message is rendered in two ways: {rests[0]!r} and {rests[1]!r}"
        self._before_user, self._after_user = first
        for n, prompt, reply, turn in zip((2, 4), prompts, replies, turns, strict=False):
            pieces = [
                *self._encode(prompt),
                *self._encode(reply),
                self.end_token_id,
                *self.suffix(talk[: n + 2], num_seen=n),
            ]
            if pieces != self._encode(prompt + turn):
                return f"{turn!r} has other tokens in pieces than as a whole"
        return ""


def decode_reply(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> str:
    """Text of a sampled reply, without the end token and other special tokens."""
    return tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)


def _special_pattern(tokenizer: PreTrainedTokenizerBase) -> re.Pattern[str]:
    """Matches every special token, the longest first."""
    special = {t.content for t in tokenizer.added_tokens_decoder.values() if t.special}
    special |= set(tokenizer.all_special_tokens)
    longest_first = sorted((t for t in special if t), key=lambda t: (-len(t), t))
    return re.compile("|".join(map(re.escape, longest_first)))


def _training_template(tokenizer: PreTrainedTokenizerBase, problem: str) -> str:
    """TRL's rewriting of a template that it knows.

    Raises:
        ValueError: it knows none.
    """
    from trl.chat_template_utils import get_training_chat_template

    try:
        template = get_training_chat_template(tokenizer)
    except ValueError as error:
        template, problem = None, f"{problem}; TRL says: {error}"
    if template is None:
        raise ValueError(
            "the chat template does not only grow at the end, so earlier tokens would change: "
            f"{problem.rstrip('.')}. Set tokenizer.chat_template to one that repeats every message "
            "unchanged"
        )
    return template
