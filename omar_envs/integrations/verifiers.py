"""Games as a verifiers environment (v1 API): one model in every seat, one trace per seat.

::

    pip install 'omar-envs[verifiers]'
    vf-eval omar-selfplay -m MODEL -n 4 --client.base-url http://localhost:8000/v1 --no-push
    vf-eval omar-selfplay … --env.taskset.game sotopia
    vf-eval omar-selfplay … --env.taskset.settings '{"num_players": 5}'
    vf-eval omar-selfplay … --env.opponent-seats '[1, 2, 3, 4]' --env.opponent-policy scripted

One episode is one game. Every seat is a live interaction with the agent ``player``, which by
default is the run's own model: shared-policy self-play, as in verifiers' own kuhn-poker.
Whoever may act without waiting for one another is asked at once. A seat's trace is one
training row: its system prompt is the rules and its own role, its user messages are what the
seat is told and asked, and only its own replies are sampled.

Each reward component of the game (``outcome``, ``invalid``, …) is a reward of weight 1 on the
seat's trace, so that ``trace.reward`` is what the seat was paid. ``trace.info["omar"]`` has
``env``, ``seed``, ``seat``, ``name``, ``role`` and ``outcome``, which is what a baseline per
game and role needs. Metrics: ``acts``, ``invalid_actions`` and ``cut_off`` (1 where a limit on
turns or tokens ended the seat's run; its later acts then count as unreadable).

Seats in ``opponent_seats`` are played by the agent ``opponent`` (never trained; give it a model
with ``--env.opponent.model``), or, with ``opponent_policy``, by a policy of that name as the
command line takes it (``random``, ``scripted``, ``house``), which leaves no trace.

Supported: ``verifiers>=0.4,<0.5``. The classes are loaded when they are first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omar_envs.integrations.verifiers_selfplay import (
        SelfPlayEnv,
        SelfPlayEnvConfig,
        SelfPlayTaskset,
        SelfPlayTasksetConfig,
    )

__all__ = ["SelfPlayEnv", "SelfPlayEnvConfig", "SelfPlayTaskset", "SelfPlayTasksetConfig"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("omar_envs.integrations.verifiers_selfplay"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
