"""All seats learnt by one policy in RLlib: PPO on the parallel environment, with masks or without.

python examples/rllib_ppo.py

Needs: pip install 'omar-envs[rllib]'
"""

# ruff: noqa: E402

import argparse

from discrete_score import DEAR_TALK, STAG_HUNT, at_random, compare, needs

needs("ray")

import numpy as np
import ray
import torch
from discrete_net import TextNet
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.algorithms.ppo.ppo_catalog import PPOCatalog
from ray.rllib.core.models.base import ACTOR, CRITIC, ENCODER_OUT
from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig
from ray.rllib.core.rl_module.multi_rl_module import MultiRLModuleSpec
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.env.wrappers.pettingzoo_env import ParallelPettingZooEnv
from ray.rllib.examples.rl_modules.classes.action_masking_rlm import ActionMaskingTorchRLModule
from ray.tune.registry import register_env
from torch import nn

from omar_envs import sotopia_v0, werewolf_v0
from omar_envs.wrappers.discretize import discretize

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--steps", type=int, default=2_048, help="environment steps, per game")
parser.add_argument("--games", type=int, default=1000, help="games to measure by")
parser.add_argument("--without-masks", action="store_true", help="flat boxes, illegal acts allowed")
args = parser.parse_args()
torch.set_num_threads(1)
BATCH = 512
OPTIONS = {"length": 48, "dtype": "float32"} | (
    {"flat": True} if args.without_masks else {"key": "observations"}
)


class Words(nn.Module):
    """RLlib would take the ids for amounts: they are looked up instead."""

    def __init__(self) -> None:
        super().__init__()
        self.net = TextNet(256)

    def forward(self, batch):
        found = self.net(batch["obs"])
        return {ENCODER_OUT: {ACTOR: found, CRITIC: found}}


class TextCatalog(PPOCatalog):
    """PPO's usual heads on that network."""

    def build_actor_critic_encoder(self, framework):
        return Words()


class Seats(ParallelPettingZooEnv):
    """The last turn is part of the game, and told: what comes after it is not estimated."""

    def step(self, action_dict):
        seen, rewards, ended, cut, infos = super().step(action_dict)
        ended = {agent: ended[agent] or cut[agent] for agent in ended}
        return seen, rewards, ended, dict.fromkeys(cut, False), infos


def learn(name: str, make):
    """Train; returns the one module that all agents share."""
    register_env(name, lambda _: Seats(discretize(make(), **OPTIONS)))
    module = RLModuleSpec(
        module_class=None if args.without_masks else ActionMaskingTorchRLModule,
        catalog_class=TextCatalog,
        # The heads fit the width of the network above.
        model_config=DefaultModelConfig(fcnet_hiddens=[64], head_fcnet_hiddens=[]),
    )
    algorithm = (
        PPOConfig()
        .environment(name)
        .multi_agent(policies={"shared"}, policy_mapping_fn=lambda *_, **__: "shared")
        .rl_module(rl_module_spec=MultiRLModuleSpec(rl_module_specs={"shared": module}))
        .env_runners(num_env_runners=0)
        .learners(num_learners=0)
        .training(
            train_batch_size=BATCH,
            minibatch_size=256,
            num_epochs=8,
            lr=3e-3,
            gamma=1.0,
            entropy_coeff=0.01,
            grad_clip=1.0,
        )
        .debugging(seed=0, log_level="ERROR")
        .build_algo()
    )
    for _ in range(max(1, args.steps // BATCH)):
        algorithm.train()
    learnt = algorithm.get_module("shared")
    algorithm.stop()
    return learnt


def acts_of(module):
    """The module as what ``compare`` asks for acts: samples, as in training."""

    def choose(seen: list, masks: np.ndarray) -> np.ndarray:
        if args.without_masks:
            batch = torch.from_numpy(np.stack(seen))
        else:
            batch = {key: torch.from_numpy(np.stack([one[key] for one in seen])) for key in seen[0]}
        with torch.no_grad():
            logits = module.forward_inference({"obs": batch})["action_dist_inputs"]
        return torch.distributions.Categorical(logits=logits).sample().numpy()

    return choose


ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, object_store_memory=2**27)
werewolf = learn("werewolf", lambda: werewolf_v0.parallel_env(**DEAR_TALK))
sotopia = learn("sotopia", lambda: sotopia_v0.parallel_env(**STAG_HUNT))
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
