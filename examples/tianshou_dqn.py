"""All seats learnt by one policy in Tianshou: masked DQN on the AEC environment.

python examples/tianshou_dqn.py

Needs: pip install 'omar-envs[tianshou]'
"""

# ruff: noqa: E402

import argparse

from discrete_score import DEAR_TALK, STAG_HUNT, at_random, compare, needs

needs("tianshou")

import numpy as np
import torch
from discrete_net import TextNet
from tianshou.algorithm import DQN
from tianshou.algorithm.modelfree.dqn import DiscreteQLearningPolicy
from tianshou.algorithm.multiagent.marl import MultiAgentOffPolicyAlgorithm
from tianshou.algorithm.optim import AdamOptimizerFactory
from tianshou.data import Collector, VectorReplayBuffer
from tianshou.env import DummyVectorEnv
from tianshou.env.pettingzoo_env import PettingZooEnv
from tianshou.trainer import OffPolicyTrainerParams
from torch import nn

from omar_envs import sotopia_v0, werewolf_v0
from omar_envs.wrappers.discretize import discretize

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--steps", type=int, default=4_000, help="acts to learn from, per game")
parser.add_argument("--games", type=int, default=1000, help="games to measure by")
args = parser.parse_args()
torch.set_num_threads(1)
torch.manual_seed(0)
np.random.seed(0)
OPTIONS = {"length": 48}
SIDE_BY_SIDE = 4


class Values(nn.Module):
    """Token ids to the value of each act, as Tianshou calls it."""

    def __init__(self, acts: int) -> None:
        super().__init__()
        self.words = TextNet(256)
        self.head = nn.Linear(self.words.width, acts)

    def forward(self, seen, state=None, info=None):
        return self.head(self.words(torch.as_tensor(seen))), state


class Seats(PettingZooEnv):
    """The last turn is part of the game, and told: what comes after it is not estimated."""

    def step(self, action):
        seen, rewards, ended, cut, info = super().step(action)
        # It hands out one and the same list each time.
        return seen, list(rewards), ended or cut, False, info


def learn(make) -> Values:
    """Train; a return over so many acts reaches the end of any of these games."""
    seats = Seats(discretize(make(), **OPTIONS))
    model = Values(int(seats.action_space.n))
    # The policies of several agents are not told that they train: without eps_inference they
    # would explore nothing.
    policy = DiscreteQLearningPolicy(
        model=model, action_space=seats.action_space, eps_training=0.3, eps_inference=0.3
    )
    learner = DQN(
        policy=policy,
        optim=AdamOptimizerFactory(lr=3e-3),
        gamma=1.0,
        n_step_return_horizon=30,
        target_update_freq=100,
    )
    everybody = MultiAgentOffPolicyAlgorithm(algorithms=[learner] * len(seats.agents), env=seats)
    side_by_side = DummyVectorEnv(
        [lambda: Seats(discretize(make(), **OPTIONS)) for _ in range(SIDE_BY_SIDE)]
    )
    side_by_side.seed(0)
    collector = Collector(
        everybody, side_by_side, VectorReplayBuffer(20_000, SIDE_BY_SIDE), exploration_noise=True
    )
    everybody.run_training(
        OffPolicyTrainerParams(
            training_collector=collector,
            max_epochs=1,
            epoch_num_steps=args.steps,
            collection_step_num_env_steps=64,
            update_step_num_gradient_steps_per_sample=0.1,
            batch_size=128,
            test_collector=None,
            multi_agent_return_reduction=lambda rewards: rewards.mean(axis=1),
            verbose=False,
            show_progress=False,
        )
    )
    return model


def acts_of(model: Values):
    """The network as what ``compare`` asks for acts: the best legal one."""

    def choose(seen: list, masks: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            values, _ = model(np.stack([each["observation"] for each in seen]))
        return np.where(masks, values.numpy(), -np.inf).argmax(axis=1)

    return choose


werewolf = learn(lambda: werewolf_v0.env(**DEAR_TALK))
sotopia = learn(lambda: sotopia_v0.env(**STAG_HUNT))
better = [
    compare(
        "werewolf_v0",
        DEAR_TALK,
        OPTIONS,
        acts_of(werewolf),
        lambda: at_random("werewolf_v0", DEAR_TALK),
        args.games,
    ),
    compare("sotopia_v0", STAG_HUNT, OPTIONS, acts_of(sotopia), None, args.games // 4),
]
print("better than random:", all(better))
