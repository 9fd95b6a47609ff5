"""Where the turns of a row of tokens begin, end and are silent.

What every advantage estimator needs before its first formula: the arguments
checked, the defaults filled in, and for each token its turn, the own token
after it, and for each turn its last token.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

FLOATS = (torch.float32, torch.float64)
INTEGERS = (torch.int8, torch.int16, torch.int32, torch.int64)


class TurnLayout(NamedTuple):
    """B rows of T tokens and K turns, none of it with a gradient.

    The token T stands for "no such token", the turn K for "no such turn"; both
    read 0 with :func:`take`. Floats have the dtype of ``values``.

    Attributes:
        turn_rewards: (B, K).
        values: (B, T), 0 where ``exists`` is false.
        token_rewards: (B, T) or ``None``; anything at masked tokens.
        num_turns: (B, 1), int64.
        bootstrap: (B, 1), the value after each row's last turn.
        turn: (B, T), int64, the token's turn; K at masked tokens.
        exists: (B, T), bool, an own token of a turn below ``num_turns``.
        keep: (B, T), bool, ``exists`` and the turn is not dropped.
        is_end: (B, T), bool, the last token of its turn.
        next_own: (B, T), int64, where the row's next own token stands.
        turn_end: (B, K), int64, e_k; for a silent turn the e_k before it.
    """

    turn_rewards: Tensor
    values: Tensor
    token_rewards: Tensor | None
    num_turns: Tensor
    bootstrap: Tensor
    turn: Tensor
    exists: Tensor
    keep: Tensor
    is_end: Tensor
    next_own: Tensor
    turn_end: Tensor


@torch.no_grad()
def lay_out_turns(
    turn_rewards: Tensor,
    values: Tensor,
    turn_index: Tensor,
    num_turns: Tensor | None,
    bootstrap: Tensor | None,
    token_rewards: Tensor | None,
    keep_turn: Tensor | None,
) -> TurnLayout:
    """Check and complete what :func:`omar_trainers.advantages.hierarchical_advantages` takes.

    Raises:
        ValueError: a wrong shape, dtype or device; ``turn_index`` outside
            -1..K-1 or falling along a row; ``num_turns`` outside 0..K.
    """
    check_tensor("values", values, (None, None), FLOATS)
    batch, tokens = values.shape
    device, dtype = values.device, values.dtype
    check_tensor("turn_rewards", turn_rewards, (batch, None), FLOATS, device)
    turns = turn_rewards.shape[1]
    check_tensor("turn_index", turn_index, (batch, tokens), INTEGERS, device)
    if num_turns is not None:
        check_tensor("num_turns", num_turns, (batch,), INTEGERS, device)
    if bootstrap is not None:
        check_tensor("bootstrap", bootstrap, (batch,), FLOATS, device)
    if token_rewards is not None:
        check_tensor("token_rewards", token_rewards, (batch, tokens), FLOATS, device)
        token_rewards = token_rewards.to(dtype)
    if keep_turn is not None:
        check_tensor("keep_turn", keep_turn, (batch, turns), (torch.bool,), device)

    turn_index = turn_index.long()
    own = turn_index >= 0  # (B, T)
    turn = torch.where(own, turn_index, turns)
    position = torch.arange(tokens, device=device).expand(batch, tokens)
    # One entry more than there are tokens, so that a row of none is no special case.
    here_or_later = pad(torch.where(own, position, tokens), (0, 1), value=tokens)
    next_own = here_or_later.flip(1).cummin(1).values.flip(1)[:, 1:]
    next_turn = pad(turn, (0, 1), value=turns).gather(1, next_own)
    if num_turns is None:
        num_turns = pad(turn_index, (0, 1), value=-1).amax(1) + 1
    num_turns = num_turns.long().unsqueeze(1)
    _check_indices(
        out_of_range=(turn_index < -1) | (turn_index >= turns),
        falling=own & (next_turn < turn),
        bad_count=(num_turns < 0) | (num_turns > turns),
        turns=turns,
    )

    is_end = own & (next_turn != turn)
    # Tokens that end no turn write to the last column, which is cut off.
    turn_end = position.new_full((batch, turns + 1), -1)
    turn_end.scatter_(1, torch.where(is_end, turn, turns), position)
    turn_end = turn_end[:, :turns].cummax(1).values
    exists = own & (turn < num_turns)
    return TurnLayout(
        turn_rewards=turn_rewards.to(dtype),
        values=values.masked_fill(~exists, 0.0),
        token_rewards=token_rewards,
        num_turns=num_turns,
        bootstrap=(values.new_zeros(batch) if bootstrap is None else bootstrap.to(dtype))[:, None],
        turn=turn,
        exists=exists,
        keep=exists if keep_turn is None else exists & take(keep_turn, turn),
        is_end=is_end,
        next_own=next_own,
        turn_end=torch.where(turn_end < 0, tokens, turn_end),
    )


def take(rows: Tensor, index: Tensor) -> Tensor:
    """Gather along axis 1, where the index one past the end reads 0 (or false)."""
    return pad(rows, (0, 1)).gather(1, index)


def check_unit_interval(discounts: Mapping[str, float]) -> None:
    """Raise ``ValueError`` unless each of the named numbers lies in [0, 1]."""
    for name, value in discounts.items():
        if not 0.0 <= value <= 1.0:
            raise ValueError(f"{name} is {value}, but must lie in [0, 1]")


def check_tensor(
    name: str,
    tensor: Tensor,
    shape: tuple[int | None, ...],
    dtypes: tuple[torch.dtype, ...],
    device: torch.device | None = None,
) -> None:
    """Raise ``ValueError`` unless the tensor is as wanted.

    ``None`` in ``shape`` admits any length, ``device`` ``None`` any device.
    """
    if not isinstance(tensor, Tensor):
        raise ValueError(f"{name} must be a torch tensor, not {type(tensor).__name__}")
    matches = len(tensor.shape) == len(shape) and all(
        want is None or want == got for want, got in zip(shape, tensor.shape, strict=True)
    )
    if not matches:
        wanted = ", ".join("any" if want is None else str(want) for want in shape)
        raise ValueError(f"{name} has shape {tuple(tensor.shape)}, but ({wanted}) is needed")
    if tensor.dtype not in dtypes:
        wanted = ", ".join(str(dtype) for dtype in dtypes)
        raise ValueError(f"{name} has dtype {tensor.dtype}; convert it to one of: {wanted}")
    if device is not None and tensor.device != device:
        raise ValueError(f"{name} is on {tensor.device}; move it to {device}, where values are")


def _check_indices(*, out_of_range: Tensor, falling: Tensor, bad_count: Tensor, turns: int) -> None:
    """Each flag is (B, any). One transfer from the device decides for all three."""
    messages = (
        (out_of_range, f"turn_index has entries outside -1..{turns - 1}; -1 masks a token"),
        (falling, "turn_index falls along the row's own tokens; turns must come in order"),
        (bad_count, f"num_turns lies outside 0..{turns}, the turns that turn_rewards has"),
    )
    failed = torch.stack([flags.any() for flags, _ in messages]).tolist()
    for (flags, message), failure in zip(messages, failed, strict=True):
        if failure:
            row = int(flags.any(1).nonzero()[0])
            raise ValueError(f"row {row}: {message}")
