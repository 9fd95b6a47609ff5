"""The arena from Python: scripted bots against random play, every deal played by both sides.

python examples/compare_policies.py
"""

from omar_envs import RandomPolicy, ScriptedPolicy, werewolf_v0
from omar_envs.arena import compare
from omar_envs.werewolf.rules import team_of

result = compare(
    lambda: werewolf_v0.raw_env(num_players=5, first_night_kill=False),
    ScriptedPolicy(seed=1),
    RandomPolicy(seed=2),
    team_of=team_of,
    games=100,
)
print(result.table())
