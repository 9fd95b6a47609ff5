"""An OpenEnv server on a free port of loopback, which prints its address."""

from __future__ import annotations

import socket

import uvicorn

from omar_envs.integrations.openenv import create_app

with socket.create_server(("127.0.0.1", 0)) as listening:
    print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    config = uvicorn.Config(create_app(num_players=5), log_level="warning")
    uvicorn.Server(config).run(sockets=[listening])
