"""All seats learnt by one policy in TorchRL: masked PPO on the parallel environment.

python examples/torchrl_selfplay.py

Needs: pip install 'omar-envs[torchrl]'
"""

# ruff: noqa: E402

import argparse

from discrete_score import DEAR_TALK, STAG_HUNT, at_random, compare, needs

needs("torchrl")

import numpy as np
import torch
from discrete_net import TextNet
from tensordict.nn import TensorDictModule
from torch import nn
from torchrl.envs import MarlGroupMapType, PettingZooWrapper
from torchrl.envs.utils import ExplorationType, check_env_specs, set_exploration_type
from torchrl.modules import MaskedCategorical, ProbabilisticActor, ValueOperator
from torchrl.objectives import ClipPPOLoss, ValueEstimators

from omar_envs import sotopia_v0, werewolf_v0
from omar_envs.wrappers.discretize import discretize

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--steps", type=int, default=2_048, help="environment steps, per game")
parser.add_argument("--games", type=int, default=1000, help="games to measure by")
args = parser.parse_args()
torch.set_num_threads(1)
torch.manual_seed(0)
OPTIONS = {"length": 48}
BATCH = 512


def learn(parallel_env) -> nn.Module:
    """PPO; who is not to move can only pass, which teaches nothing."""
    env = PettingZooWrapper(
        discretize(parallel_env, **OPTIONS),
        group_map=MarlGroupMapType.ALL_IN_ONE_GROUP,
        categorical_actions=True,
    )
    check_env_specs(env)
    acts = env.full_action_spec["agents", "action"].space.n
    net, value = head(acts), head(1)
    tokens = [("agents", "observation", "observation")]
    actor = ProbabilisticActor(
        TensorDictModule(net, in_keys=tokens, out_keys=[("agents", "logits")]),
        in_keys={"logits": ("agents", "logits"), "mask": ("agents", "action_mask")},
        out_keys=[("agents", "action")],
        distribution_class=MaskedCategorical,
        return_log_prob=True,
    )
    critic = ValueOperator(value, in_keys=tokens, out_keys=[("agents", "state_value")])
    loss = ClipPPOLoss(actor, critic, entropy_coeff=0.01, normalize_advantage=True)
    loss.set_keys(
        **{name: ("agents", name) for name in ("action", "reward", "done")},
        # The last turn is part of the game, and told: nothing comes after it to be estimated.
        terminated=("agents", "done"),
        value=("agents", "state_value"),
        sample_log_prob=actor.log_prob_keys[0],
    )
    loss.make_value_estimator(ValueEstimators.GAE, gamma=1.0, lmbda=0.95)
    optimizer = torch.optim.Adam(loss.parameters(), lr=3e-3)
    for _ in range(max(1, args.steps // BATCH)):
        # Without this a rollout takes the likeliest act each time, and nothing is learnt.
        with torch.no_grad(), set_exploration_type(ExplorationType.RANDOM):
            steps = env.rollout(BATCH, actor, break_when_any_done=False)
            loss.value_estimator(steps)
        for rows in torch.cat([torch.randperm(BATCH) for _ in range(8)]).split(128):
            terms = loss(steps[rows])
            optimizer.zero_grad()
            sum(term for name, term in terms.items() if name.startswith("loss_")).backward()
            optimizer.step()
    return net


def head(width: int) -> nn.Module:
    words = TextNet(256)
    return nn.Sequential(words, nn.Linear(words.width, width))


def acts_of(net: nn.Module):
    """The network as what ``compare`` asks for acts: samples, as in training."""

    def choose(seen: list, masks: np.ndarray) -> np.ndarray:
        tokens = torch.from_numpy(np.stack([each["observation"] for each in seen]))
        with torch.no_grad():
            return MaskedCategorical(logits=net(tokens), mask=torch.from_numpy(masks)).sample()

    return choose


werewolf = learn(werewolf_v0.parallel_env(**DEAR_TALK))
sotopia = learn(sotopia_v0.parallel_env(**STAG_HUNT))
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
