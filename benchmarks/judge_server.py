"""A chat completions server that gives the same answer after a fixed time, for
``judge_throughput.py``.

::

    python benchmarks/judge_server.py SECONDS < ANSWER

Reads the answer's text as a JSON string, one line, prints its port, and ends when its standard
input does. Requests wait side by side, however many there are.
"""

from __future__ import annotations

import asyncio
import json
import sys


def response(text: str) -> bytes:
    """The whole HTTP response around an answer."""
    message = {"role": "assistant", "content": text}
    body = {
        "id": "fixed",
        "object": "chat.completion",
        "created": 0,
        "model": "fixed",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }
    data = json.dumps(body).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n"
    return head.encode() + b"\r\n" + data


async def serve(seconds: float, text: str) -> None:
    """Answer until standard input ends."""
    answer = response(text)

    async def answer_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode("latin-1").lower().split("\r\n")
                (length,) = (line[15:] for line in lines if line.startswith("content-length:"))
                await reader.readexactly(int(length))
                await asyncio.sleep(seconds)
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has what it wanted
        finally:
            writer.close()

    server = await asyncio.start_server(answer_all, "127.0.0.1", 0, backlog=256, limit=2**20)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1]), json.loads(sys.stdin.readline())))
