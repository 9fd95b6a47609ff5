"""One seat of Werewolf in GEM, scripted players in the others.

pip install 'omar-envs[gem]'
python examples/gem_seat.py
"""

import gem

from omar_envs.integrations.gem import register

register()
env = gem.make("omar:Werewolf-v0", seat="random", opponents="scripted", num_players=5)
for seed in range(5):
    observation, info = env.reset(seed=seed)
    over = False
    while not over:
        observation, reward, terminated, truncated, info = env.step(env.sample_random_action())
        over = terminated or truncated
    print(seed, info["seat"], info["role"], reward)
