"""The page over HTTP, for this machine alone.

The server listens on the loopback address and answers requests for one page. A
request whose ``Host`` is not this machine's is refused, so that no web site can read
the page by a name of its own that it lets point here (DNS rebinding).
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from omar_envs.errors import ConfigError

LOOPBACK = "127.0.0.1"
_SECONDS_TO_ASK = 10.0
_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
}


class PageServer(ThreadingHTTPServer):
    """Serves one page; :func:`page_server` makes it."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, page: bytes, port: int) -> None:
        self.page = page
        super().__init__((LOOPBACK, port), _Handler)

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{LOOPBACK}:{self.server_port}/"

    @property
    def hosts(self) -> tuple[str, ...]:
        """What a request may call this server."""
        return (f"{LOOPBACK}:{self.server_port}", f"localhost:{self.server_port}")


def page_server(page: str, port: int = 0) -> PageServer:
    """A server that listens on loopback already; ``serve_forever`` answers, ``url`` is where.

    Args:
        page: the whole document.
        port: 0 to 65535; 0 takes a free one.

    Raises:
        ConfigError: the port is none, is taken, or not this user's to take.
    """
    if not 0 <= port <= 65535:
        raise ConfigError(f"port must be 0 to 65535: got {port}")
    try:
        return PageServer(page.encode("utf-8"), port)
    except OSError as error:
        raise ConfigError(
            f"port {port} cannot be used: {error.strerror}; leave it out to take a free one"
        ) from None


def serve_page(page: str, port: int = 0, *, announce: Callable[[str], None] = print) -> None:
    """Serve a page until interrupted (Ctrl-C), which is no error.

    Args:
        page, port: as in :func:`page_server`.
        announce: is told the address, once the server listens there.

    Raises:
        ConfigError: as :func:`page_server`.
    """
    with page_server(page, port) as server:
        try:
            announce(server.url)
            server.serve_forever()
        except KeyboardInterrupt:
            return


class _Handler(BaseHTTPRequestHandler):
    server: PageServer
    server_version = "omar-envs"
    sys_version = ""
    timeout = _SECONDS_TO_ASK

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: what is asked for is always the same page."""

    def _answer(self, *, with_body: bool) -> None:
        hosts = self.headers.get_all("Host", [])
        if len(hosts) != 1 or hosts[0].strip().lower() not in self.server.hosts:
            self.send_error(HTTPStatus.FORBIDDEN, "This page is for this machine alone")
            return
        if self.path.partition("?")[0] != "/":
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        self.send_response(HTTPStatus.OK)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(self.server.page)))
        self.end_headers()
        if with_body:
            try:
                self.wfile.write(self.server.page)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True
