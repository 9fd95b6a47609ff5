"""Games as TextArena keeps them: logs, observations by player, actions, rewards, game info.

TextArena (Guertler et al., arXiv 2504.11442; ``textarena.core.State``) numbers players
from 0 and lets the game speak as −1. ``State.logs`` is every message once,
``observations`` what each player was shown, with an ``ObservationType``; ``close()``
returns ``rewards`` and ``game_info``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from omar_envs.export.rows import Row
from omar_envs.export.seats import PlayedSeat
from omar_envs.types import MODERATOR, Episode, Message

GAME_ID = -1
"""As ``textarena.GAME_ID``: who speaks is the game itself."""

PROMPT = "PROMPT"
_TYPES = {
    "speech": "PLAYER_ACTION",
    "action": "GAME_ACTION_DESCRIPTION",
    "event": "GAME_MESSAGE",
}


def textarena_row(seats: Sequence[PlayedSeat]) -> Row:
    """One game as an object of lists, in which every id is a column of its own.

    ``steps`` has the acts in order: who, how many entries of its observations the player
    had been shown by then, its reply as given, what the game took it for.
    :func:`textarena_game` makes TextArena's own dictionaries of it.

    Args:
        seats: all seats of one episode.
    """
    episode = seats[0].episode
    ids = _ids(episode)
    return {
        "env_id": episode.env,
        "seed": episode.seed,
        "episode": seats[0].number,
        "num_players": len(ids) - 1,
        "role_mapping": [
            {"player_id": GAME_ID, "name": "GAME"},
            *({"player_id": ids[seat.agent], "name": seat.seat.name} for seat in seats),
        ],
        "logs": [
            {"from_id": ids[message.sender], "message": message.text}
            for message in episode.messages
        ],
        "observations": [
            {"player_id": ids[seat.agent], "observation": _observed(seat, ids)} for seat in seats
        ],
        "steps": _steps(seats, ids),
        "rewards": [{"player_id": ids[seat.agent], "reward": seat.reward} for seat in seats],
        "game_info": [
            {
                "player_id": ids[seat.agent],
                "role": seat.seat.role or seat.seat.name,
                "invalid_move": any(not turn.valid for turn in seat.turns),
                "turn_count": len(seat.turns),
            }
            for seat in seats
        ],
        "truncated": episode.truncated,
    }


def textarena_game(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row in the shapes that TextArena's own objects have.

    Returns:
        ``role_mapping`` {id: name}, ``logs`` [(from_id, message)], ``observations``
        {id: [(from_id, message, name of the ObservationType)]}, ``rewards`` {id: reward or
        None}, ``game_info`` {id: {"role", "invalid_move", "turn_count"}}, and ``steps``
        [(id, observation so far, action)].
    """
    observations = {
        each["player_id"]: [
            (entry["from_id"], entry["message"], entry["type"]) for entry in each["observation"]
        ]
        for each in row["observations"]
    }
    return {
        "role_mapping": {each["player_id"]: each["name"] for each in row["role_mapping"]},
        "logs": [(each["from_id"], each["message"]) for each in row["logs"]],
        "observations": observations,
        "steps": [
            (
                each["player_id"],
                observations[each["player_id"]][: each["observed"]],
                each["action"],
            )
            for each in row["steps"]
        ],
        "rewards": {each["player_id"]: each["reward"] for each in row["rewards"]},
        "game_info": {
            each["player_id"]: {key: each[key] for key in ("role", "invalid_move", "turn_count")}
            for each in row["game_info"]
        },
    }


def _ids(episode: Episode) -> dict[str, int]:
    return {MODERATOR: GAME_ID, **{seat.agent: i for i, seat in enumerate(episode.seats)}}


def _visible(seat: PlayedSeat) -> list[Message]:
    return [message for message in seat.episode.messages if message.visible_to(seat.agent)]


def _observed(seat: PlayedSeat, ids: Mapping[str, int]) -> list[Row]:
    prompt = {"from_id": GAME_ID, "message": seat.messages[0]["content"], "type": PROMPT}
    return [
        prompt,
        *(
            {
                "from_id": ids[message.sender],
                "message": message.text,
                "type": _TYPES[message.kind],
            }
            for message in _visible(seat)
        ),
    ]


def _steps(seats: Sequence[PlayedSeat], ids: Mapping[str, int]) -> list[Row]:
    acts = {
        seat.agent: zip(
            seat.read,
            (message["content"] for message in seat.messages if message["role"] == "assistant"),
            strict=True,
        )
        for seat in seats
    }
    steps = []
    for turn in seats[0].episode.turns:
        read, reply = next(acts[turn.agent])
        steps.append(
            {
                "player_id": ids[turn.agent],
                "observed": 1 + read,
                "action": reply,
                "text": turn.text,
                "invalid_move": not turn.valid,
            }
        )
    return steps
