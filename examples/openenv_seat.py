"""One seat of Werewolf behind OpenEnv's WebSocket server, and a client that plays it.

pip install 'omar-envs[openenv]'
uvicorn --factory omar_envs.integrations.openenv:create_app --port 8000
python examples/openenv_seat.py http://localhost:8000
"""

import sys

from omar_envs.integrations.openenv import SeatAction, SeatClient

if len(sys.argv) != 2 or not sys.argv[1].startswith("http"):
    sys.exit("usage: python examples/openenv_seat.py http://localhost:8000")
with SeatClient(base_url=sys.argv[1]).sync() as client:
    for seed in range(3):
        result = client.reset(seed=seed)
        while not result.done:
            told = result.observation  # told.messages is the chat, ready for a model
            reply = told.choices[0] if told.choices else "I have seen nothing yet."
            result = client.step(SeatAction(text=reply))
        print(seed, result.observation.seat, result.observation.role, result.reward)
