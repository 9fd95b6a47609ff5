"""A chat completions server on loopback that behaves as a test tells it to."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple, Self


class Call(NamedTuple):
    """One request as it arrived; ``number`` counts from 0."""

    number: int
    path: str
    headers: dict[str, str]
    body: dict[str, Any]


class Send(NamedTuple):
    """Any response. ``missing``: bytes that are announced, but never sent."""

    body: bytes
    status: int = 200
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/json"),)
    missing: int = 0


class Reset(NamedTuple):
    """Cut the connection without a word, or after some bytes of a longer body."""

    after: bytes = b""


class Hang(NamedTuple):
    """Say nothing until the server closes."""


Act = Send | Reset | Hang
Behaviour = Callable[[Call], Act]


def completion(
    message: dict[str, Any], finish_reason: str = "stop", usage: Any = None, **more: Any
) -> Send:
    """A response of the right shape around any message."""
    choice = {"index": 0, "message": message, "finish_reason": finish_reason}
    body = {"id": "c", "object": "chat.completion", "created": 0, "model": "m"}
    return Send(json.dumps({**body, "choices": [choice], "usage": usage, **more}).encode())


def say(text: str | None, *, tokens: tuple[int, int] | None = (0, 0), **more: Any) -> Send:
    """A good reply."""
    names = ("prompt_tokens", "completion_tokens")
    usage = None if tokens is None else dict(zip(names, tokens, strict=True))
    return completion({"role": "assistant", "content": text, **more}, usage=usage)


def refuse(status: int, message: str = "no", code: str | None = None, **headers: str) -> Send:
    """An error in the form that OpenAI and vLLM give it."""
    body = {"error": {"message": message, "type": "error", "code": code}}
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    sent = (("Content-Type", "application/json"), *named)
    return Send(json.dumps(body).encode(), status, sent)


def in_order(*acts: Act) -> Behaviour:
    """One act per call; the last one goes on."""
    return lambda call: acts[min(call.number, len(acts) - 1)]


class ChatServer:
    """Listens while its ``with`` block lasts.

    Args:
        behave: the act for a call. It runs in a thread of the call's own, and may wait.
    """

    def __init__(self, behave: Behaviour) -> None:
        self.behave = behave
        self.calls: list[Call] = []
        self.peak = 0
        """Most calls that were ever open at once."""
        self._open = 0
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._connections: list[socket.socket] = []
        self._server = self._listen()
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [call.body for call in self.calls]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.set()
        self._server.shutdown()
        self._thread.join()
        for connection in self._connections:
            with suppress(OSError):  # its client, or a reset, was first
                connection.shutdown(socket.SHUT_RDWR)
        self._server.server_close()

    def _listen(self) -> ThreadingHTTPServer:
        chat = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                headers = {name.lower(): value for name, value in self.headers.items()}
                act = chat._answer(self.path, headers, body)
                match act:
                    case Hang():
                        chat._closing.wait()
                        self.close_connection = True
                    case Reset():
                        if act.after:
                            self._send(Send(act.after, missing=1))
                            self.wfile.flush()
                        at_once = struct.pack("ii", 1, 0)
                        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
                        self.close_connection = True
                    case Send():
                        self._send(act)

            def _send(self, act: Send) -> None:
                self.send_response(act.status)
                for header in act.headers:
                    self.send_header(*header)
                self.send_header("Content-Length", str(len(act.body) + act.missing))
                self.end_headers()
                self.wfile.write(act.body)
                self.close_connection = act.missing > 0

            def log_message(self, format: str, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = False
            request_queue_size = 256

            def process_request(self, request: Any, client_address: Any) -> None:
                chat._connections.append(request)
                super().process_request(request, client_address)

            def shutdown_request(self, request: Any) -> None:
                request.close()  # without the farewell that would come before a reset

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # a client that has given up

        return Server(("127.0.0.1", 0), Handler)

    def _answer(self, path: str, headers: dict[str, str], body: dict[str, Any]) -> Act:
        with self._lock:
            call = Call(len(self.calls), path, headers, body)
            self.calls.append(call)
            self._open += 1
            self.peak = max(self.peak, self._open)
        act = self.behave(call)
        # Before the response: once it is out, the client may send the next request.
        with self._lock:
            self._open -= 1
        return act
