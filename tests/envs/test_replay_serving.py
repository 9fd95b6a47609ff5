"""The page over HTTP: to this machine alone, one page and nothing else."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from omar_envs.errors import ConfigError
from omar_envs.replay import page_server, render_html
from omar_envs.replay.serving import PageServer
from omar_envs.transcript import write_episodes
from tests.envs.episode_samples import speech, werewolf_game

PAGE = render_html([werewolf_game()], title="Žluť 🐺")


@pytest.fixture
def server() -> Iterator[PageServer]:
    with page_server(PAGE) as opened:
        thread = threading.Thread(target=opened.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield opened
        opened.shutdown()
        thread.join()


def ask(
    server: PageServer, path: str = "/", method: str = "GET", host: str | None = None
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    connection.putrequest(method, path, skip_host=True)
    connection.putheader("Host", f"127.0.0.1:{server.server_port}" if host is None else host)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, body


def test_it_serves_the_page(server: PageServer) -> None:
    status, headers, body = ask(server)
    assert status == 200 and body.decode("utf-8") == PAGE
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert server.url == f"http://127.0.0.1:{server.server_port}/"
    assert ask(server, "/?query=1")[0] == 200
    assert ask(server, host=f"LOCALHOST:{server.server_port}")[0] == 200
    status, headers, body = ask(server, method="HEAD")
    assert (status, body) == (200, b"") and int(headers["content-length"]) == len(PAGE.encode())


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/replay.html",
        "/index.html",
        "/.",
        "http://127.0.0.1/",
        "/favicon.ico",
    ],
)
def test_there_is_no_other_page(server: PageServer, path: str) -> None:
    status, _, body = ask(server, path)
    assert status in (400, 404)
    assert b"root:" not in body and b"Replay" not in body


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "evil.example:{port}",
        "127.0.0.1",
        "127.0.0.1:1",
        "127.0.0.1.evil.example:{port}",
    ],
)
def test_another_host_is_refused(server: PageServer, host: str) -> None:
    status, _, body = ask(server, host=host.format(port=server.server_port))
    assert status == 403 and b"Ben" not in body


def test_two_hosts_or_none_are_refused(server: PageServer) -> None:
    right = f"Host: 127.0.0.1:{server.server_port}\r\n"
    for hosts in ("", right + "Host: evil.example\r\n"):
        with socket.create_connection(("127.0.0.1", server.server_port), timeout=20) as raw:
            raw.sendall(f"GET / HTTP/1.1\r\n{hosts}\r\n".encode())
            assert b" 403 " in raw.recv(4096).splitlines()[0]


def test_nothing_can_be_sent_to_it(server: PageServer) -> None:
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        assert ask(server, method=method)[0] == 501


def test_it_listens_on_loopback_alone(server: PageServer) -> None:
    assert server.server_address[0] == "127.0.0.1"


def test_a_port_that_is_taken_is_told_at_once(server: PageServer) -> None:
    with pytest.raises(ConfigError, match=f"port {server.server_port} cannot be used"):
        page_server(PAGE, server.server_port)
    for port in (-1, 65536):
        with pytest.raises(ConfigError, match="0 to 65535"):
            page_server(PAGE, port)


def test_the_command_serves_until_it_is_interrupted(tmp_path: Path) -> None:
    games = tmp_path / "games.jsonl"
    write_episodes(games, [speech("Hello.")])
    command = [sys.executable, "-m", "omar_envs.cli", "replay", str(games), "--serve"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": "error"},
        # As in a terminal, whatever runs these tests.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        told = process.stdout.readline()
        found = re.fullmatch(r"1 episode at http://127\.0\.0\.1:(\d+)/  \(Ctrl-C ends\)\n", told)
        assert found, told
        connection = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=20)
        connection.request("GET", "/")
        assert b"Hello." in connection.getresponse().read()
        connection.close()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0
        assert process.stderr.read() == ""
    assert [path.name for path in tmp_path.iterdir()] == ["games.jsonl"]
