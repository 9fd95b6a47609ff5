"""A judge behind any OpenAI-compatible endpoint pays the players of social scenarios.

python examples/judge_reward.py --base_url http://localhost:8000/v1 --model NAME
"""

import argparse

from omar_envs import NegotiatorPolicy, rollout, sotopia_v0
from omar_envs.errors import OmarError
from omar_envs.judge import SOTOPIA, OpenAIJudge

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--base_url", help="default: $OPENAI_BASE_URL, or OpenAI's own")
parser.add_argument("--model", required=True)
parser.add_argument("--episodes", type=int, default=4)
args = parser.parse_args()

try:
    with OpenAIJudge(args.model, base_url=args.base_url, rubric=SOTOPIA, scale="unit") as judge:
        # The games that end together are judged together.
        played = rollout.run(
            lambda: sotopia_v0.raw_env(reward="judge", judge=judge, max_turns=6),
            NegotiatorPolicy(seed=1),
            episodes=args.episodes,
            seed=0,
        )
except OmarError as error:
    raise SystemExit(str(error)) from None
for episode in played:
    # None, and no part of the reward, where the judgement failed.
    print({seat.name: episode.rewards[seat.agent]["judge"] for seat in episode.seats})
print(judge.usage)
