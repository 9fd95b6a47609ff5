"""The README that stands beside a trained model."""

from __future__ import annotations

import json
from collections.abc import Sequence

from omar_trainers.config import OMARConfig

_CARD = """---
library_name: transformers
tags:
{tags}
---

# {name}

A language model trained by self-play: one model played every seat of `{env}` and
learned from all of them, by PPO with {advantage} advantages
([OMAR, arXiv 2602.03109](https://arxiv.org/abs/2602.03109)), with omar-envs on TRL.

- started from: {base}
- iterations × games: {iterations} × {games}
- seats: {seats}
- environment: `{env_kwargs}`
- seed: {seed}

Its win rate against itself says nothing. Compare it with the model it started from,
seats swapped: `omar-envs eval`.
"""


def model_card(args: OMARConfig, *, name: str, base: str, tags: Sequence[str]) -> str:
    """Markdown with a YAML head, as model hubs read it.

    Args:
        args: of the training.
        name: of the trained model.
        base: what it started from; "" if unknown.
        tags: for the head.
    """
    return _CARD.format(
        tags="\n".join(f"- {tag}" for tag in tags),
        name=name,
        env=args.env_name,
        advantage=args.advantage.replace("_", " "),
        base=f"`{base}`" if base else "a model in memory",
        iterations=args.total_iterations,
        games=args.games_per_iteration,
        seats=args.seats,
        env_kwargs=json.dumps(args.env_kwargs or {}, sort_keys=True),
        seed=args.seed,
    )
