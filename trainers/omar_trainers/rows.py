"""One seat's whole episode as one row of tokens, growing with the conversation."""

from __future__ import annotations

from dataclasses import dataclass, field

from omar_envs.types import ChatMessage, View
from omar_trainers.tokens import ChatTokenizer

RowKey = tuple[int, str]
"""``(view.game, view.agent)``."""


@dataclass
class TokenRow:
    """What one seat read and wrote, in the order in which the model saw it.

    Attributes:
        game: handle of the live game (``View.game``).
        agent: agent id.
        ids: all token ids (T,).
        turn_index: (T,) -1 on tokens that are not the model's, else the turn
            k = 0.. (``View.num_acts``) to which the token belongs.
        logprobs: (T,) log-probability under which a token was sampled; 0.0
            where ``turn_index`` is -1, and where nothing was sampled.
        allowed: (T,) the token ids that were allowed there, None for all.
        prompt_length: tokens before the first own one.
        truncated: closed because it would outgrow the context; the episode
            went on, with silence from this seat.
        cut_turns: turns whose reply the token limit cut.
        num_asked: length of all that the backend was asked to go on from, summed
            over the replies after the first; where the backend tells what it reuses.
        num_reused: tokens of these that it did not have to read anew.
    """

    game: int
    agent: str
    ids: list[int] = field(default_factory=list)
    turn_index: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    allowed: list[tuple[int, ...] | None] = field(default_factory=list)
    prompt_length: int = 0
    truncated: bool = False
    cut_turns: list[int] = field(default_factory=list)
    num_asked: int = 0
    num_reused: int = 0

    def read(self, ids: list[int]) -> None:
        """Append tokens that are not the model's."""
        self.ids += ids
        self.turn_index += [-1] * len(ids)
        self.logprobs += [0.0] * len(ids)
        self.allowed += [None] * len(ids)
        if max(self.turn_index, default=-1) < 0:
            self.prompt_length = len(self.ids)

    def write(
        self,
        turn: int,
        ids: list[int],
        logprobs: list[float],
        allowed: list[tuple[int, ...] | None],
    ) -> None:
        """Append the model's tokens of one turn."""
        self.ids += ids
        self.turn_index += [turn] * len(ids)
        self.logprobs += logprobs
        self.allowed += allowed


@dataclass
class _Open:
    """A row, the chat messages that stand in it, and how its last reply ended."""

    row: TokenRow
    messages: tuple[ChatMessage, ...] = ()
    finished: bool = True

    def same_game(self, view: View) -> bool:
        """Whether the view's chat begins with what stands in the row."""
        return view.num_acts > 0 and view.messages[: len(self.messages)] == self.messages

    def goes_on_in(self, view: View) -> bool:
        """Whether the view adds to the row its reply and one user message, no more.

        More is there if somebody else replied in the seat meanwhile.
        """
        return self.same_game(view) and len(view.messages) == len(self.messages) + 2


class RowBook:
    """The rows of all live games.

    Args:
        tokens: turns messages into ids.
        max_context: longest row, in tokens.

    Attributes:
        num_truncated: rows closed so far because they would outgrow the context.
        num_silenced: replies left empty so far because their row was closed.
    """

    def __init__(self, tokens: ChatTokenizer, max_context: int) -> None:
        self._tokens = tokens
        self._max_context = max_context
        self._open: dict[RowKey, _Open] = {}
        self.num_truncated = 0
        self.num_silenced = 0

    def read(self, view: View, max_new_tokens: int) -> TokenRow | None:
        """The view's row with everything up to its next reply, or None if it is closed.

        It is closed as truncated, unchanged, if with ``max_new_tokens`` more it
        would outgrow the context. A view that does not go on from the row begins a
        new one in its place, with all earlier replies as prompt: another game in
        the slot, or a seat in which somebody else spoke meanwhile.
        """
        key = (view.game, view.agent)
        state = self._open.get(key)
        closed = state is not None and state.row.truncated and state.same_game(view)
        if state is None or not (closed or state.goes_on_in(view)):
            state = self._open[key] = _Open(TokenRow(view.game, view.agent))
        if not closed:
            suffix = self._tokens.suffix(
                view.messages, num_seen=len(state.messages), finished=state.finished
            )
            if len(state.row.ids) + len(suffix) + max_new_tokens <= self._max_context:
                state.row.read(suffix)
                state.messages = view.messages
                return state.row
            state.row.truncated = True
            self.num_truncated += 1
        self.num_silenced += 1
        return None

    def write(
        self,
        view: View,
        ids: list[int],
        logprobs: list[float],
        allowed: list[tuple[int, ...] | None],
        *,
        finished: bool,
        stopped: bool = False,
    ) -> None:
        """Append the reply to the view that was read last.

        Args:
            view, ids, logprobs, allowed: what was asked, and what was sampled.
            finished: whether the end token was.
            stopped: whether a stop string ended the reply instead.
        """
        state = self._open[(view.game, view.agent)]
        state.row.write(view.num_acts, ids, logprobs, allowed)
        if not (finished or stopped):
            state.row.cut_turns.append(view.num_acts)
        state.finished = finished

    def take(self) -> dict[RowKey, TokenRow]:
        """All rows, in the order in which they began; the book is empty afterwards."""
        rows = {key: state.row for key, state in self._open.items()}
        self._open.clear()
        return rows
