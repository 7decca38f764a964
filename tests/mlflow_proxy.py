"""A server before MLflow's, which refuses the calls that a test wants refused."""

import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# A call that is left without an answer until its client gives up.
SILENT = -1
# Path and body of a call to the status that it is refused with, or SILENT; 0 lets it pass.
Refuse = Callable[[str, bytes], int]


@contextmanager
def mlflow_proxy(url: str, refuse: Refuse) -> Iterator[str]:
    """Pass calls on to the server at a URL, and yield the address to call instead."""

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status = refuse(self.path, body)
            if status == SILENT:
                self.rfile.read(1)
                return
            if status:
                self._answer(status, b"refused")
                return
            # A body makes a POST of a GET.
            asked = urllib.request.Request(url + self.path, body or None, method=self.command)
            if kind := self.headers.get("Content-Type"):
                asked.add_header("Content-Type", kind)
            try:
                with urllib.request.urlopen(asked, timeout=30) as answer:
                    self._answer(answer.status, answer.read())
            except urllib.error.HTTPError as error:
                self._answer(error.code, error.read())

        def do_POST(self) -> None:
            self.do_GET()

        def do_PUT(self) -> None:
            self.do_GET()

        def do_PATCH(self) -> None:
            self.do_GET()

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            if status >= 500:
                self.send_header("Retry-After", "30")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *details: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
