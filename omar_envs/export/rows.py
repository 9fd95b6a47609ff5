"""Seats to rows of chat, of ShareGPT and of single acts, and back to what was read and said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from omar_envs.errors import EpisodeError
from omar_envs.export.seats import PlayedSeat
from omar_envs.types import ChatMessage

Row = dict[str, Any]
"""One line of JSON. Which columns it has: :data:`omar_envs.export.columns.COLUMNS`."""

_TO_SHAREGPT = {"system": "system", "user": "human", "assistant": "gpt"}
_FROM_SHAREGPT = {
    **{name: role for role, name in _TO_SHAREGPT.items()},
    **{"user": "user", "assistant": "assistant"},
}


def chat_row(seat: PlayedSeat, *, ending: bool = True) -> Row:
    """One seat as ``{"messages": [{"role", "content"}, …], …}``, and what became of it.

    Args:
        seat: one seat of a game.
        ending: keep the user message with which the game ends, and which no reply
            follows. Some trainers take only rows that end with the assistant.
    """
    return {"messages": [{**message} for message in _shown(seat, ending)], **_about_seat(seat)}


def sharegpt_row(seat: PlayedSeat, *, ending: bool = True) -> Row:
    """One seat as ``{"conversations": [{"from": "human", "value"}, …], …}``.

    ``from`` is ``system``, ``human`` or ``gpt``. Arguments as for :func:`chat_row`.
    """
    conversations = [
        {"from": _TO_SHAREGPT[message["role"]], "value": message["content"]}
        for message in _shown(seat, ending)
    ]
    return {"conversations": conversations, **_about_seat(seat)}


def sft_row(seat: PlayedSeat, act: int) -> Row:
    """One act as TRL's conversational ``prompt`` and ``completion``.

    The prompt is all that the seat had read and said before, the completion its reply.

    Args:
        seat: one seat of a game.
        act: number of the act, from 0.
    """
    prompt, reply = split_at(seat.messages, act)
    turn = seat.turns[act]
    return {
        "prompt": prompt,
        "completion": [reply],
        **_identity(seat),
        **_pay(seat),
        **about_act(seat, act),
        "valid": turn.valid,
    }


def messages_of(row: Mapping[str, Any]) -> list[ChatMessage]:
    """The chat messages in a row of ``chat``, ``sharegpt`` or ``sft``.

    Raises:
        EpisodeError: the row is none of these.
    """
    if "messages" in row:
        found = [(message["role"], message["content"]) for message in row["messages"]]
    elif "conversations" in row:
        found = [(_role(part["from"]), part["value"]) for part in row["conversations"]]
    elif "prompt" in row and "completion" in row:
        parts = [*row["prompt"], *row["completion"]]
        found = [(message["role"], message["content"]) for message in parts]
    else:
        raise EpisodeError(
            "the row has neither messages nor conversations nor prompt and completion: "
            f"it has {', '.join(map(str, row)) or 'nothing'}"
        )
    return [{"role": role, "content": content} for role, content in found]


def replies_of(row: Mapping[str, Any]) -> list[str]:
    """What the seat of a row said, in order; for an ``sft`` row the last one is its act."""
    return [message["content"] for message in messages_of(row) if message["role"] == "assistant"]


def split_at(messages: Sequence[ChatMessage], act: int) -> tuple[list[ChatMessage], ChatMessage]:
    """All before the reply number ``act``, from 0, and that reply."""
    replies = [i for i, message in enumerate(messages) if message["role"] == "assistant"]
    return list(messages[: replies[act]]), messages[replies[act]]


def about_act(seat: PlayedSeat, act: int) -> Row:
    """Columns that say which act of a seat a row is about."""
    turn = seat.turns[act]
    stages = {stage.turn: stage.phase for stage in seat.episode.stages}
    return {"act": act, "phase": stages[turn.turn], "request": turn.request.kind.value}


def _shown(seat: PlayedSeat, ending: bool) -> Iterator[ChatMessage]:
    shown = seat.messages
    if not ending and shown[-1]["role"] == "user":
        shown = shown[:-1]
    return iter(shown)


def _role(name: str) -> Any:
    if name not in _FROM_SHAREGPT:
        raise EpisodeError(
            f"a conversation has a part from {name!r}: known are {', '.join(_FROM_SHAREGPT)}"
        )
    return _FROM_SHAREGPT[name]


def _about_seat(seat: PlayedSeat) -> Row:
    counts = {
        "acts": len(seat.turns),
        "invalid_acts": sum(not turn.valid for turn in seat.turns),
    }
    return {**_identity(seat), **_pay(seat), **counts}


def _identity(seat: PlayedSeat) -> Row:
    return {
        "env": seat.episode.env,
        "seed": seat.episode.seed,
        "episode": seat.number,
        "agent": seat.agent,
        "name": seat.seat.name,
        "role": seat.seat.role or "",
        "team": seat.team,
        "policy": seat.seat.policy,
        "result": seat.result,
    }


def _pay(seat: PlayedSeat) -> Row:
    parts = seat.episode.rewards[seat.agent]
    return {
        "reward": seat.reward,
        "rewards": [{"component": name, "amount": amount} for name, amount in parts.items()],
        "truncated": seat.episode.truncated,
    }
