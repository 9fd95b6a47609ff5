"""A social scenario whose result is computed: three scripted negotiators share out a grant.

python examples/sotopia_deal.py
"""

from omar_envs import NegotiatorPolicy, rollout, sotopia_v0

env = sotopia_v0.raw_env("the_harbour_grant", render_mode="ansi")
episode = rollout.play(env, NegotiatorPolicy(seed=1), seed=2)
print(env.render())
print({seat.name: episode.outcome["scores"][seat.agent] for seat in episode.seats})
print(episode.outcome["measures"])
