"""In front of an OpenEnv server: messages that would end a session are answered instead.

OpenEnv 0.10 answers what is not JSON, but closes the session on JSON that is no object, on
binary frames, and on values that it cannot write into its own error.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
App = Callable[[Event, Receive, Send], Awaitable[None]]


class Guard:
    """ASGI middleware that lets through only WebSocket messages that hold a JSON object.

    Args:
        app: the server.
        max_chars: longest message in characters; at least 1.
    """

    def __init__(self, app: App, max_chars: int) -> None:
        self._app = app
        self._max_chars = max_chars

    async def __call__(self, scope: Event, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "websocket":
            await self._app(scope, receive, send)
            return

        async def receive_checked() -> Event:
            while True:
                event = await receive()
                if event["type"] != "websocket.receive":
                    return event
                wrong = self._what_is_wrong(event)
                if wrong is None:
                    return event
                code, message = wrong
                answer = {"type": "error", "data": {"message": message, "code": code}}
                await send({"type": "websocket.send", "text": json.dumps(answer)})

        await self._app(scope, receive_checked, send)

    def _what_is_wrong(self, event: Event) -> tuple[str, str] | None:
        """Code and message of the error, ``None`` if the message is let through."""
        text = event.get("text")
        if not isinstance(text, str):
            return "INVALID_JSON", "messages are JSON objects as text, not binary frames"
        if len(text) > self._max_chars:
            return (
                "VALIDATION_ERROR",
                f"a message has at most {self._max_chars} characters: this one has {len(text)}",
            )
        try:
            value = json.loads(text, parse_constant=_refuse)
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            return "INVALID_JSON", "the message has half of a surrogate pair in it: no such text"
        except RecursionError:
            return "INVALID_JSON", "the message is nested too deeply"
        except ValueError as error:
            return "INVALID_JSON", f"the message is not JSON: {error}"
        if not isinstance(value, dict):
            return "INVALID_JSON", f"a message is a JSON object, not a {type(value).__name__}"
        if not isinstance(value.get("type"), str):
            return "UNKNOWN_TYPE", "a message has a type: reset, step, state or close"
        return None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON number")
