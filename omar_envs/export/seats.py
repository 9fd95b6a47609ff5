"""One seat of a finished game, with all that it read and wrote: what most rows are made of."""

from __future__ import annotations

from typing import Literal, NamedTuple

from omar_envs.conversation import ConversationEnv
from omar_envs.errors import EpisodeError
from omar_envs.parsing import clean, strip_private
from omar_envs.rollout import played_again
from omar_envs.types import ChatMessage, Episode, Seat, Turn

Result = Literal["won", "lost", "drawn", ""]
"""How a seat's game ended for it; "" where the game names no winner, as conversations do."""


class PlayedSeat(NamedTuple):
    """One seat of one episode.

    Attributes:
        episode: the whole of it.
        number: of the episode among those that were read, from 0.
        seat: agent, display name, role, policy.
        messages: what the seat's view held at the end of the game: system, then user
            and assistant in turn. The assistant's are its replies as generated.
        turns: its acts; the k-th one is the k-th assistant message.
        read: how many messages of the log it had been shown when it made each of them.
    """

    episode: Episode
    number: int
    seat: Seat
    messages: tuple[ChatMessage, ...]
    turns: tuple[Turn, ...]
    read: tuple[int, ...]

    @property
    def agent(self) -> str:
        """Agent id."""
        return self.seat.agent

    @property
    def team(self) -> str:
        """Its team; "" where the game has none."""
        return str(self.episode.outcome.get("teams", {}).get(self.agent, ""))

    @property
    def result(self) -> Result:
        """Won, lost or drawn; "" where the game names no winner."""
        return result_of(self.episode, self.agent)

    @property
    def reward(self) -> float | None:
        """All that it was paid; None if any part could not be determined."""
        if None in self.episode.rewards[self.agent].values():
            return None
        return self.episode.total_reward(self.agent)


def result_of(episode: Episode, agent: str) -> Result:
    """How the game ended for an agent: its team's win, by ``outcome``; no winner is a draw.

    "" if the outcome names no winner and no teams.
    """
    outcome = episode.outcome
    if "winner" not in outcome or agent not in outcome.get("teams", {}):
        return ""
    if outcome["winner"] is None:
        return "drawn"
    return "won" if outcome["teams"][agent] == outcome["winner"] else "lost"


def played_seats(episode: Episode, number: int = 0) -> tuple[PlayedSeat, ...]:
    """Every seat of an episode, its messages made again by replaying the acts.

    Raises:
        ConfigError: the episode's environment or settings are unknown.
        EpisodeError: it does not replay: it was edited, or the rules have changed since.
    """
    read: dict[str, list[int]] = {seat.agent: [] for seat in episode.seats}

    def count(env: ConversationEnv) -> None:
        mover = env.agent_selection
        read[mover].append(len(env.view(mover).log))

    if "published" in episode.config:
        raise EpisodeError(
            "it was imported from published conversations, which do not hold what a seat had "
            "been shown: export it as `datasets` with rows of `episodes`, or leave it out"
        )
    env = played_again(episode, count)
    again = env.episode()
    for what, mine, theirs in (
        ("seats", map(_dealt, again.seats), map(_dealt, episode.seats)),
        ("acts", map(_act, again.turns), map(_act, episode.turns)),
        ("messages", again.messages, episode.messages),
    ):
        if list(mine) != list(theirs):
            raise EpisodeError(
                f"its {what} are not those that its seed and settings give: the episode was "
                "edited, or made by other rules"
            )
    return tuple(
        PlayedSeat(
            episode,
            number,
            seat,
            env.view(seat.agent).messages,
            episode.turns_of(seat.agent),
            tuple(read[seat.agent]),
        )
        for seat in episode.seats
    )


def without_thinking(seat: PlayedSeat) -> PlayedSeat:
    """The seat with private reasoning taken out of its replies, tags and all."""
    tags = tuple(seat.episode.config.get("private_tags", ()))
    return seat._replace(messages=tuple(_spoken(message, tags) for message in seat.messages))


def _spoken(message: ChatMessage, tags: tuple[str, ...]) -> ChatMessage:
    if message["role"] != "assistant":
        return message
    spoken = strip_private(message["content"], tags)
    if spoken == message["content"]:
        return message
    return {"role": "assistant", "content": spoken.strip()}


def _dealt(seat: Seat) -> tuple[str, str, str | None]:
    return seat.agent, seat.name, seat.role


def _act(turn: Turn) -> tuple[int, str, str, str, bool]:
    return turn.turn, turn.agent, clean(turn.reply), turn.text, turn.valid
