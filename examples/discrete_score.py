"""What a learner of discrete acts earns in a seat, beside random play; for the examples here."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from omar_envs import rollout
from omar_envs.errors import ConfigError
from omar_envs.integrations import libraries
from omar_envs.policy import Policy
from omar_envs.wrappers.discrete_policy import Chooser, DiscretePolicy, uniform
from omar_envs.wrappers.discretize import Discretizer

TINY_WEREWOLF = {
    "num_players": 3,
    "first_phase": "day",
    "discussion_rounds": 1,
    "wolf_chat_rounds": 0,
    "prompt_style": "terse",
}
"""One day decides: who is accused, who votes for whom."""

DEAR_TALK = TINY_WEREWOLF | {
    "discussion_rounds": 2,
    "allow_silence": True,
    "max_speech_chars": 40,
    "length_penalty": 1.0,
}
"""Talk has a price, and silence is legal: what there is to learn first is to say little."""

STAG_HUNT = {"scenario": "two_boats_count_whales", "max_turns": 4}
"""Sealed answers: worth most if both dare the same. Its reward is computed."""


def needs(library: str) -> None:
    """Stop in one line if the library is missing, or in a version that was not tried."""
    try:
        libraries.check(library)
    except ConfigError as error:
        raise SystemExit(str(error)) from None


def at_random(env: str, config: Mapping[str, Any]) -> Policy:
    """Legal acts of the menu at random."""
    return DiscretePolicy(Discretizer(rollout.make(env, config)), uniform(5), "random")


def compare(
    env: str,
    config: Mapping[str, Any],
    options: Mapping[str, Any],
    choose: Chooser,
    others: Callable[[], Policy] | None = None,
    games: int = 2000,
) -> bool:
    """Print the mean reward of random legal acts and of ``choose``, with 95% intervals.

    Args:
        env, config: the game, as ``rollout.make`` takes it.
        options: of the ``Discretizer`` that ``choose`` was trained with.
        choose: the learner.
        others: makes the policy of all seats but the first; without it whoever is measured
            plays all of them.
        games: how many each plays, on the same seeds.

    Returns:
        Whether the intervals lie apart, the learner's above.
    """
    game = rollout.make(env, config)
    discretizer, first = Discretizer(game, **options), game.possible_agents[0]

    def interval(policy: Policy) -> tuple[float, float]:
        everybody = others() if others else policy
        episodes = rollout.run(
            lambda: rollout.make(env, config), everybody, games, 7, overrides={first: policy}
        )
        rewards = np.array([episode.total_reward(first) for episode in episodes])
        return float(rewards.mean()), 1.96 * float(rewards.std()) / math.sqrt(games)

    random, random_error = interval(DiscretePolicy(discretizer, uniform(1), "random"))
    learnt, learnt_error = interval(DiscretePolicy(discretizer, choose, "learnt"))
    print(
        f"{env}: random {random:+.3f} ± {random_error:.3f}, "
        f"trained {learnt:+.3f} ± {learnt_error:.3f} ({games} games each)",
        flush=True,
    )
    return learnt - learnt_error > random + random_error
