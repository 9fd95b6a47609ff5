"""One seat of a game behind an OpenEnv server, and its client.

::

    pip install 'omar-envs[openenv]'
    uvicorn --factory omar_envs.integrations.openenv:create_app        # the default game

    app = create_app("sotopia", opponents="scripted", scenario="the_harbour_grant")

    with SeatClient(base_url="http://localhost:8000").sync() as client:
        result = client.reset(seed=1)
        while not result.done:
            result = client.step(SeatAction(text=model(result.observation.messages)))

Each WebSocket session has a game of its own. ``reset`` takes ``seed`` and ``episode_id``; the
game, the seat and the opponents are the server's. The reward of a step is what the seat was
paid from its last act until its next one. What a client sends is untrusted: a message that is
no JSON object, too long, of the wrong type or with unknown fields is answered by an error that
says so, and the session goes on.

Supported: ``openenv>=0.10,<0.11``. The classes are loaded when they are first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omar_envs.integrations.openenv_seat import (
        SeatAction,
        SeatClient,
        SeatObservation,
        SeatState,
        create_app,
    )

__all__ = ["SeatAction", "SeatClient", "SeatObservation", "SeatState", "create_app"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("omar_envs.integrations.openenv_seat"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
