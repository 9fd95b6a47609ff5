"""One policy plays every agent: the heart of self-play."""

from __future__ import annotations

from collections.abc import Mapping

from pettingzoo import AECEnv
from pettingzoo.utils.wrappers import BaseWrapper

from omar_envs.conversation import Observation
from omar_envs.playing import ask_all, conversation, one_policy, play_games
from omar_envs.policy import Policy
from omar_envs.types import Episode


class SinglePolicyWrapper(BaseWrapper[str, Observation, str]):
    """Routes every agent id through one policy.

    Args:
        env: a conversation, wrapped or not.
        policy: plays every agent.
        overrides: policies for some agents instead.

    Raises:
        ConfigError: ``env`` is not a conversation, or ``overrides`` names an
            agent that it does not have.
    """

    def __init__(
        self,
        env: AECEnv[str, Observation, str],
        policy: Policy,
        overrides: Mapping[str, Policy] | None = None,
    ) -> None:
        super().__init__(env)
        self._conversation = conversation(env)
        self._policy_for = one_policy(policy, overrides, self._conversation.possible_agents)

    def advance(self) -> dict[str, str]:
        """Ask for all of ``acting`` in one batch and play their replies.

        Returns:
            The reply of each agent who acted; empty once the game is over.
        """
        acting = self._conversation.acting
        views = [self._conversation.view(agent) for agent in acting]
        replies = ask_all(views, [self._policy_for(0, agent) for agent in acting])
        for reply in replies:
            self.env.step(reply)
        return dict(zip(acting, replies, strict=True))

    def play(self, seed: int) -> Episode:
        """Play one game to its end; the same as ``rollout.play``."""
        return play_games([self.env], [seed], self._policy_for)[0]
