"""One model in every seat, through any OpenAI-compatible endpoint; prints the game as it goes on.

python examples/openai_endpoint.py --base_url http://localhost:8000/v1 --model NAME
"""

import argparse

from omar_envs import rollout, werewolf_v0
from omar_envs.chat_policy import ChatPolicy
from omar_envs.errors import OmarError

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--base_url", help="default: $OPENAI_BASE_URL, or OpenAI's own")
parser.add_argument("--model", required=True)
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()

env = werewolf_v0.raw_env(num_players=5, render_mode="human")
try:
    with ChatPolicy(args.model, base_url=args.base_url) as policy:
        episode = rollout.play(env, policy, args.seed)
except OmarError as error:
    raise SystemExit(str(error)) from None
print("Winner:", episode.outcome["winner"])
print(policy.usage)
