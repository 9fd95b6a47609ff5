"""A row's own tokens side by side, and where its turns end among them.

What every advantage estimator needs before its first formula: the arguments
checked, the defaults filled in, and the tokens that are not the model's taken
out. Among those that are left the next token is the next index, and nothing that
stands in a prompt or in padding can reach a result.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, SupportsFloat

import torch
from torch import Tensor
from torch.nn.functional import pad

FLOATS = (torch.float32, torch.float64)
INTEGERS = (torch.int8, torch.int16, torch.int32, torch.int64)


class TurnLayout(NamedTuple):
    """B rows of at most L own tokens, packed to the left, and K turns.

    The index L stands for "no such token", the turn K for "no such turn"; both
    read 0 with :func:`take`. Floats have the dtype of the caller's ``values``.

    Attributes:
        turn_rewards: (B, K).
        num_turns: (B, 1), int64.
        bootstrap: (B, 1), the value after each row's last turn.
        slot: (B, T), int64, where a token of the caller's stands in the packed row;
            L if it is masked. :func:`take` with it undoes the packing.
        values: (B, L), 0 where ``exists`` is false.
        token_rewards: (B, L) or ``None``.
        turn: (B, L), int64, the token's turn; K past the row's end.
        exists: (B, L), bool, the token's turn is below ``num_turns``.
        keep: (B, L), bool, ``exists`` and the turn is not dropped.
        is_end: (B, L), bool, the last token of its turn.
        turn_end: (B, K), int64, e_k; for a silent turn the e_k before it.
    """

    turn_rewards: Tensor
    num_turns: Tensor
    bootstrap: Tensor
    slot: Tensor
    values: Tensor
    token_rewards: Tensor | None
    turn: Tensor
    exists: Tensor
    keep: Tensor
    is_end: Tensor
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
    if keep_turn is not None:
        check_tensor("keep_turn", keep_turn, (batch, turns), (torch.bool,), device)

    turn_index = turn_index.long()
    own = turn_index >= 0  # (B, T)
    count = own.cumsum(1)
    with_mask = pad(turn_index, (0, 1), value=-1)  # a row of no tokens has no maximum
    largest, smallest = with_mask.amax(1), with_mask.amin(1)
    num_turns = (largest + 1 if num_turns is None else num_turns.long()).unsqueeze(1)
    _refuse(
        (smallest < -1) | (largest >= turns),
        f"turn_index has entries outside -1..{turns - 1}; -1 masks a token",
    )
    _refuse(
        ((num_turns < 0) | (num_turns > turns)).squeeze(1),
        f"num_turns lies outside 0..{turns}, the turns that turn_rewards has",
    )

    length = int(count.max()) if count.numel() else 0
    slot = torch.where(own, count - 1, length)

    def pack(tokens: Tensor, fill: int) -> Tensor:
        packed = tokens.new_full((batch, length + 1), fill)
        return packed.scatter_(1, slot, tokens)[:, :length]  # masked ones are cut off

    turn = pack(turn_index, turns)  # (B, L)
    next_turn = pad(turn, (0, 1), value=turns)[:, 1:]
    _refuse(
        (next_turn < turn).any(1),
        "turn_index falls along the row's own tokens; turns must come in order",
    )
    number = torch.arange(turns, device=device).repeat(batch, 1)
    turn_end = torch.searchsorted(turn.contiguous(), number, right=True) - 1
    exists = turn < num_turns
    return TurnLayout(
        turn_rewards=turn_rewards.to(dtype),
        num_turns=num_turns,
        bootstrap=(values.new_zeros(batch) if bootstrap is None else bootstrap.to(dtype))[:, None],
        slot=slot,
        values=torch.where(exists, pack(values, 0), 0.0),
        token_rewards=None if token_rewards is None else pack(token_rewards.to(dtype), 0),
        turn=turn,
        exists=exists,
        keep=exists if keep_turn is None else exists & take(keep_turn, turn),
        is_end=turn != next_turn,
        turn_end=torch.where(turn_end < 0, length, turn_end),
    )


def take(rows: Tensor, index: Tensor) -> Tensor:
    """Gather along axis 1, where the index one past the end reads 0 (or false)."""
    return pad(rows, (0, 1)).gather(1, index)


def check_unit_interval(discounts: Mapping[str, object]) -> None:
    """Raise ``ValueError`` unless each of the named numbers lies in [0, 1]."""
    for name, value in discounts.items():
        if not isinstance(value, SupportsFloat):
            raise ValueError(f"{name} is {value!r}, but must be a number in [0, 1]")
        if not 0.0 <= float(value) <= 1.0:
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


def _refuse(bad: Tensor, message: str) -> None:
    """Raise ``ValueError`` that names the first row for which ``bad``, (B,), is true."""
    if bool(bad.any()):
        raise ValueError(f"row {int(bad.nonzero()[0])}: {message}")
