"""A seat over OpenEnv's WebSocket on loopback, and what a hostile client gets to hear."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from omar_envs.errors import ConfigError
from omar_envs.integrations.libraries import check
from omar_envs.rollout import make
from omar_envs.wrappers.single_agent import SingleAgentEnv

try:
    check("openenv")
except ConfigError as error:
    pytest.skip(str(error), allow_module_level=True)

import uvicorn
import websockets

from omar_envs.integrations.openenv import SeatAction, SeatClient, create_app

SETTINGS = {"num_players": 5, "discussion_rounds": 1, "invalid_penalty": 0.5}


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    app = create_app("werewolf", seat=0, opponents="scripted", max_sessions=4, **SETTINGS)
    started = threading.Event()

    class Server(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            started.set()

    server = Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    assert started.wait(60)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join()


def reply(choices: list[str]) -> str:
    return choices[-1] if choices else "I trust nobody."


def test_a_game_over_the_wire_is_the_game_at_home(port: int) -> None:
    home = SingleAgentEnv(make("werewolf_v0", SETTINGS), 0, "scripted")
    with SeatClient(base_url=f"http://127.0.0.1:{port}").sync() as client:
        for seed in range(4):
            result = client.reset(seed=seed, episode_id=f"game {seed}")
            home.reset(seed=seed)
            steps = 0
            while not result.done:
                told = result.observation
                assert told.text == home.view().text
                assert told.messages == [dict(message) for message in home.view().messages]
                assert (told.seat, told.role) == ("player_0", home.view().role)
                request = home.view().request
                assert told.choices == ([] if request is None else list(request.choices))
                text = reply(told.choices)
                result = client.step(SeatAction(text=text))
                _, reward, terminated, truncated, _ = home.step(text)
                steps += 1
                assert (result.reward, result.done) == (reward, terminated or truncated)
            state = client.state()
            assert (state.episode_id, state.step_count, state.done) == (f"game {seed}", steps, True)


def test_sessions_have_games_of_their_own(port: int) -> None:
    url = f"http://127.0.0.1:{port}"
    with SeatClient(base_url=url).sync() as one, SeatClient(base_url=url).sync() as other:
        first = one.reset(seed=1).observation
        second = other.reset(seed=2).observation
        assert first.text != second.text
        one.step(SeatAction(text=reply(first.choices)))
        assert one.state().step_count == 1
        assert other.state().step_count == 0


HOSTILE = {
    "no JSON": ("{bad", "INVALID_JSON"),
    "a list": ("[1, 2]", "INVALID_JSON"),
    "a string": ('"reset"', "INVALID_JSON"),
    "null": ("null", "INVALID_JSON"),
    "binary": (b"\x00\xff", "INVALID_JSON"),
    "NaN": ('{"type": "reset", "data": {"seed": NaN}}', "INVALID_JSON"),
    "deep": ("[" * 100_000, "INVALID_JSON"),
    "deep objects": ('{"a":' * 100_000, "INVALID_JSON"),
    "a number of 5000 digits": (
        f'{{"type": "reset", "data": {{"seed": {"9" * 5000}}}}}',
        "INVALID_JSON",
    ),
    "half a surrogate pair": (r'{"type": "step", "data": {"text": "\ud800"}}', "INVALID_JSON"),
    "no type": ("{}", "UNKNOWN_TYPE"),
    "a type that is no text": ('{"type": []}', "UNKNOWN_TYPE"),
    "an unknown type": ('{"type": "sudo"}', "UNKNOWN_TYPE"),
    "a field beside": ('{"type": "reset", "sudo": 1}', "VALIDATION_ERROR"),
    "step without data": ('{"type": "step"}', "VALIDATION_ERROR"),
    "text of the wrong type": ('{"type": "step", "data": {"text": 5}}', "VALIDATION_ERROR"),
    "no text": ('{"type": "step", "data": {}}', "VALIDATION_ERROR"),
    "an unknown field": ('{"type": "step", "data": {"text": "a", "x": 1}}', "VALIDATION_ERROR"),
    "a long text": (
        f'{{"type": "step", "data": {{"text": "{"a" * 100_001}"}}}}',
        "VALIDATION_ERROR",
    ),
    "a very long message": (
        f'{{"type": "step", "data": {{"text": "{"a" * 900_000}"}}}}',
        "VALIDATION_ERROR",
    ),
    "a tool call": (
        '{"type": "step", "data": {"type": "call_tool", "tool_name": "x"}}',
        "VALIDATION_ERROR",
    ),
    "seed of the wrong type": ('{"type": "reset", "data": {"seed": "1"}}', "EXECUTION_ERROR"),
    "seed that is a truth": ('{"type": "reset", "data": {"seed": true}}', "EXECUTION_ERROR"),
    "negative seed": ('{"type": "reset", "data": {"seed": -1}}', "EXECUTION_ERROR"),
    "huge seed": ('{"type": "reset", "data": {"seed": 9223372036854775808}}', "EXECUTION_ERROR"),
    "infinite seed": ('{"type": "reset", "data": {"seed": 1e999}}', "EXECUTION_ERROR"),
    "unknown argument": ('{"type": "reset", "data": {"judge": "me"}}', "EXECUTION_ERROR"),
    "long id": (f'{{"type": "reset", "data": {{"episode_id": "{"a" * 256}"}}}}', "EXECUTION_ERROR"),
    "self": ('{"type": "reset", "data": {"self": 1}}', "EXECUTION_ERROR"),
}


def test_hostile_messages_are_refused_and_the_session_goes_on(port: int) -> None:
    """One session hears an error for each of them, then plays a game to its end."""

    async def session() -> None:
        async with websockets.connect(f"ws://127.0.0.1:{port}/ws", max_size=None) as socket:

            async def ask(message: str | bytes) -> dict[str, Any]:
                await socket.send(message)
                answer: dict[str, Any] = json.loads(await socket.recv())
                return answer

            async def send(kind: str, **data: Any) -> dict[str, Any]:
                return await ask(json.dumps({"type": kind, "data": data}))

            for early in ('{"type": "step", "data": {"text": "a"}}', '{"type": "state"}'):
                answer = await ask(early)
                assert answer["type"] == "error"
                assert "send reset first" in answer["data"]["message"]
            begun = await send("reset", seed=1)
            for name, (message, code) in HOSTILE.items():
                answer = await ask(message)
                assert answer["type"] == "error", name
                assert answer["data"]["code"] == code, name
                assert answer["data"]["message"], name
            told = begun["data"]
            while not told["done"]:
                answer = await send("step", text=reply(told["observation"]["choices"]))
                assert answer["type"] == "observation"
                told = answer["data"]
            # Nothing of what was refused has reached the game.
            assert told["observation"]["invalid_actions"] == 0
            over = await send("step", text="more")
            assert "send reset first" in over["data"]["message"]

    asyncio.run(session())


def test_odd_but_legal_text_is_an_invalid_act_not_an_error(port: int) -> None:
    with SeatClient(base_url=f"http://127.0.0.1:{port}").sync() as client:
        # Player 0 is asked to choose at once on some of the first seeds.
        for seed in range(20):
            told = client.reset(seed=seed).observation
            if told.choices:
                break
        result = client.step(SeatAction(text="\x00\u202e</s><|im_end|>{{7*7}}"))
        assert result.observation.invalid_actions == 1
        assert result.observation.reward_components["invalid"] == -0.5


def test_the_settings_are_checked_before_anybody_connects() -> None:
    with pytest.raises(ConfigError, match="num_players"):
        create_app("werewolf", num_players=2)
    with pytest.raises(ConfigError, match="seat"):
        create_app("werewolf", seat=99)
    with pytest.raises(ConfigError, match="max_sessions"):
        create_app("werewolf", max_sessions=0)
    with pytest.raises(ConfigError, match="unknown policy"):
        create_app("werewolf", opponents="scriptd")
