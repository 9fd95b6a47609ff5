"""One seat of a game as a verl ``AgentLoop``.

::

    # agent_loops.yaml, named by actor_rollout_ref.rollout.agent.agent_loop_config_path
    - name: omar_seat
      _target_: omar_envs.integrations.verl.SeatAgentLoop
      game: werewolf
      opponents: scripted
      settings: {num_players: 5}

Rows of the training data whose ``agent_name`` is ``omar_seat`` play a game; ``seed`` and ``seat``
are taken from the row or its ``extra_info``. Their prompt is not used: the game writes its own.
One output is the seat's whole episode: the prompt is the rules, the role and the first question;
the response holds the seat's replies (mask 1) and what it was told between them (mask 0), grown
by token ids. ``reward_score`` is all that the seat was paid.

A row that reaches ``response_length`` is closed: the rest of the game is played in silence.
``prompt_length`` must hold the first question; a longer prompt is an error, where verl's own
loops would cut off its beginning, the rules.

Supported: ``verl>=0.9,<0.10``; ``pip install 'omar-envs[verl]'``. The class is loaded when it is
first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omar_envs.integrations.verl_seat import (
        SeatAgentLoop,
    )

__all__ = ["SeatAgentLoop"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("omar_envs.integrations.verl_seat"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
