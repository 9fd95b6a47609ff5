"""One seat of Werewolf in SkyRL-Gym, driven as SkyRL's generator drives it.

pip install 'omar-envs[skyrl-gym]'
python examples/skyrl_gym_seat.py
"""

import skyrl_gym

from omar_envs.integrations.skyrl_gym import register

register("omar-werewolf", "werewolf", opponents="scripted", num_players=5)
for seed in range(5):
    env = skyrl_gym.make("omar-werewolf", extras={"seed": seed, "seat": "random"})
    chat, info = env.init([])
    done, paid = False, 0.0
    while not done:
        reply = "I have seen nothing yet."  # the model's, for `chat`
        output = env.step(reply)
        chat = [*chat, {"role": "assistant", "content": reply}, *output["observations"]]
        paid, done = paid + output["reward"], output["done"]
    print(seed, info["seat"], info["role"], paid, env.get_metrics())
