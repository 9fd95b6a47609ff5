"""One policy in every seat, and a page to watch the games in: replay.html.

python examples/watch_bots.py
"""

from omar_envs import ScriptedPolicy, rollout, werewolf_v0
from omar_envs.replay import write_replay

episodes = rollout.run(werewolf_v0.raw_env, ScriptedPolicy(seed=1), episodes=5, seed=0)
write_replay("replay.html", episodes)
print([episode.outcome["winner"] for episode in episodes], "-> replay.html")
