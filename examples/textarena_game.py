"""A game of Werewolf by TextArena's rules: one agent in every seat.

pip install 'omar-envs[textarena]'
python examples/textarena_game.py
"""

import textarena as ta

from omar_envs.integrations.textarena import register


class FirstOption(ta.Agent):
    """Stands in for a model: ``ta.agents.OpenRouterAgent(…)`` would go here."""

    def __call__(self, observation: str) -> str:
        _, found, options = observation.rpartition("Answer with one of: ")
        return options.split(",")[0].rstrip(".") if found else "I have seen nothing yet."


register()
env = ta.make("omar/Werewolf-v0", discussion_rounds=1)
env.reset(num_players=5, seed=1)
agent, done = FirstOption(), False
while not done:
    player_id, observation = env.get_observation()
    done, info = env.step(action=agent(observation))
rewards, game_info = env.close()
for player_id, reward in rewards.items():
    print(player_id, game_info[player_id]["role"], reward, game_info[player_id]["reason"])
