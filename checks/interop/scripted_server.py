"""A chat completions server on loopback that plays: it names a choice that it is offered.

It answers in one piece or as a stream, as the request asks, and stands in for a model where
only the way there and back is to be tried::

    python checks/interop/scripted_server.py        prints its address, and serves until killed
"""

from __future__ import annotations

import json
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

BROKEN = "broken"
"""The model that answers every request with an error."""

CHOICES = re.compile(r"Answer with one of: ([^\n]+)\.\s*$")


def reply(messages: list[dict[str, Any]]) -> str:
    """The first choice of the last question, or a line of talk."""
    asked = messages[-1]["content"]
    text = asked if isinstance(asked, str) else "".join(part.get("text", "") for part in asked)
    found = CHOICES.search(text)
    return found.group(1).split(", ")[0] if found else "I have seen nothing yet."


class Handler(BaseHTTPRequestHandler):
    """One request, one reply."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if body.get("model") == BROKEN:
            error = {"message": "this model is broken", "type": "invalid_request_error"}
            self._send(json.dumps({"error": error}), "application/json", status=400)
            return
        text = reply(body["messages"])
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        base = {"id": "c", "created": 0, "model": body.get("model", "m")}
        if body.get("stream"):
            delta = {"role": "assistant", "content": text}
            first = {"index": 0, "delta": delta, "finish_reason": None}
            last: dict[str, Any] = {"index": 0, "delta": {}, "finish_reason": "stop"}
            chunks = [
                {**base, "object": "chat.completion.chunk", "choices": [first]},
                {**base, "object": "chat.completion.chunk", "choices": [last], "usage": usage},
            ]
            lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks]
            self._send("".join([*lines, "data: [DONE]\n\n"]), "text/event-stream")
            return
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        whole = {**base, "object": "chat.completion", "choices": [choice], "usage": usage}
        self._send(json.dumps(whole), "application/json")

    def _send(self, text: str, kind: str, status: int = 200) -> None:
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(f"http://127.0.0.1:{server.server_address[1]}/v1", flush=True)
    server.serve_forever()
