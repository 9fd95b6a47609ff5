"""One seat learnt by MaskablePPO of Stable-Baselines3, against scripted players.

python examples/sb3_maskable_ppo.py

Needs: pip install 'omar-envs[sb3]'
"""

# ruff: noqa: E402

import argparse

from discrete_score import STAG_HUNT, TINY_WEREWOLF, compare, needs

needs("sb3_contrib")

import gymnasium
import numpy as np
import torch
from discrete_net import TextNet
from sb3_contrib import MaskablePPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor

import omar_envs  # noqa: F401  (registers the seats)
from omar_envs.policy import ScriptedPolicy
from omar_envs.sotopia.bots import NegotiatorPolicy

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--steps", type=int, default=16_000, help="acts to learn from, per game")
parser.add_argument("--games", type=int, default=2000, help="games to measure by")
args = parser.parse_args()
torch.set_num_threads(1)
OPTIONS = {"length": 96}


class Words(BaseFeaturesExtractor):
    """SB3 would take the ids for amounts: they are looked up instead."""

    def __init__(self, space: gymnasium.spaces.Dict) -> None:
        super().__init__(space, features_dim=64)
        self.net = TextNet(int(space["observation"].high.max()))

    def forward(self, seen: dict[str, torch.Tensor]) -> torch.Tensor:
        return self.net(seen["observation"])


def learn(name: str, config: dict) -> MaskablePPO:
    """Train on 8 seats side by side; the environments tell the masks themselves."""
    seats = make_vec_env(
        f"omar/{name}-seat-v0",
        n_envs=8,
        seed=0,
        env_kwargs={"seat": 0, "opponents": "scripted", "discrete": OPTIONS, **config},
    )
    model = MaskablePPO(
        "MultiInputPolicy",
        seats,
        n_steps=64,
        batch_size=128,
        n_epochs=4,
        ent_coef=0.01,
        learning_rate=1e-3,
        seed=0,
        policy_kwargs={"features_extractor_class": Words, "net_arch": []},
    )
    return model.learn(args.steps)


def acts_of(model: MaskablePPO):
    """The model as what ``compare`` asks for acts."""

    def choose(seen: list, masks: np.ndarray) -> np.ndarray:
        batch = {key: np.stack([each[key] for each in seen]) for key in seen[0]}
        return model.predict(batch, action_masks=masks)[0]

    return choose


werewolf, sotopia = learn("werewolf", TINY_WEREWOLF), learn("sotopia", STAG_HUNT)
better = [
    compare(
        "werewolf_v0",
        TINY_WEREWOLF,
        OPTIONS,
        acts_of(werewolf),
        lambda: ScriptedPolicy(0, brief=True),
        args.games,
    ),
    compare(
        "sotopia_v0",
        STAG_HUNT,
        OPTIONS,
        acts_of(sotopia),
        lambda: NegotiatorPolicy(0),
        args.games // 4,
    ),
]
print("better than random:", all(better))
