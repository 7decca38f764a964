"""A web server that is away for a while, and what each kind of storage says when it is."""

import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from rankloop import filesystems
from rankloop.datasets.locations import exist, list_files
from rankloop.errors import DataError, ImageError, StorageError
from rankloop.filesystems import is_away, patiently, seconds_tried
from rankloop.images import read_bytes

AWAY = [
    "AWS Error SLOW_DOWN during GetObject operation",
    "AWS Error UNKNOWN (HTTP status 503) during HeadObject operation: No response body.",
    "AWS Error NETWORK_CONNECTION during GetObject operation: curlCode: 7, Couldn't connect to",
    "google::cloud::Status(UNAVAILABLE: Retry policy exhausted, with a last message of "
    "PerformWork() - CURL error [7]=Could not connect to server error_info={reason=})",
    "google::cloud::Status(DEADLINE_EXCEEDED: x)",
    "google::cloud::Status(RESOURCE_EXHAUSTED: x)",
    "Check for Hierarchical Namespace support on 'http://127.0.0.1:1/acc/b' failed. Azure Error: "
    "[ServerBusy] 503 Service Unavailable\n\nRequest ID: ",
    "GetProperties for 'http://x/acc/b' failed. Azure Error: [] 500 Internal Server Error",
    "Azure Error: [] Fail to get a new connection for: http://127.0.0.1:1. Could not connect to",
]
UNRESOLVED = [
    "AWS Error NETWORK_CONNECTION during GetObject operation: curlCode: 6, Couldn't resolve host "
    "name",
    "google::cloud::Status(UNAVAILABLE: Retry policy exhausted, with a last message of "
    "PerformWork() - CURL error [6]=Could not resolve hostname error_info={reason=})",
    "Azure Error: [] Fail to get a new connection for: http://nowhere.invalid. Could not resolve "
    "hostname",
]
HERE = [
    "AWS Error UNKNOWN (HTTP status 501) during PutObject operation",
    "AWS Error ACCESS_DENIED during GetObject operation (HTTP status 403)",
    "google::cloud::Status(PERMISSION_DENIED: x)",
    "google::cloud::Status(NOT_FOUND: x)",
    "Azure Error: [ContainerNotFound] 404 The specified container does not exist.",
    "Azure Error: [] 501 Not Implemented",
]


class Server(ThreadingHTTPServer):
    """Answers requests with so many errors of a status, and then with a file called a.png."""

    status, errors, asked = 503, 0, 0


class Answers(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked += 1
        self.server.errors -= 1
        found = self.path in ("/a.png", "/")
        status = self.server.status if self.server.errors >= 0 else 200 if found else 404
        self.send_response(status)
        self.send_header("Content-Length", "7")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(b"content")

    def do_HEAD(self):
        self.do_GET()

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    server = Server(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def _uri(server, name="a.png"):
    return f"http://127.0.0.1:{server.server_port}/{name}"


@pytest.mark.parametrize("status", [429, 500, 503])
def test_it_is_waited_for(server, status):
    server.status, server.errors = status, 3
    assert read_bytes(_uri(server)) == b"content"
    server.errors = 3
    assert exist([_uri(server), _uri(server, "b.png")]) == [True, False]


def test_one_that_stays_away_has_no_missing_files(server, monkeypatch):
    monkeypatch.setattr(filesystems, "PATIENCE_SECONDS", 0.0)
    server.errors = 1_000
    with pytest.raises(StorageError, match="503"):
        read_bytes(_uri(server))
    with pytest.raises(DataError, match=r"cannot look for .*503"):
        exist([_uri(server)])
    with pytest.raises(DataError, match=r"cannot list .*503"):
        list_files(_uri(server, ""))
    address = _uri(server)
    server.shutdown()
    server.server_close()
    with pytest.raises(StorageError, match="run the same command again"):
        read_bytes(address)


@pytest.mark.parametrize("status", [404, 501])
def test_what_will_be_the_same_the_next_time_is_said_at_once(server, status):
    server.status, server.errors = status, 1_000
    with pytest.raises(ImageError, match="does not exist"):
        read_bytes(_uri(server))
    # Once for the size, once for all.
    assert server.asked == 2


def test_an_answer_that_is_cut_off_is_asked_for_again(monkeypatch, server):
    whole = Answers.do_GET

    def cut_off(self):
        if self.server.asked < 3:
            self.server.asked += 1
            self.close_connection = True
        else:
            whole(self)

    monkeypatch.setattr(Answers, "do_GET", cut_off)
    assert read_bytes(_uri(server)) == b"content"


@pytest.mark.parametrize("text", [*AWAY, *UNRESOLVED])
def test_what_storage_says_when_it_is_away(text):
    assert is_away(OSError(text))
    wrapped = FileNotFoundError("x")
    wrapped.__cause__ = OSError(text)
    assert is_away(wrapped)


@pytest.mark.parametrize("text", HERE)
def test_what_storage_says_when_it_is_there(text):
    assert not is_away(OSError(text))


@pytest.mark.parametrize("error", [*map(OSError, UNRESOLVED), socket.gaierror(-2, "x")])
def test_a_host_without_an_address_is_mostly_misspelt(error, monkeypatch):
    assert seconds_tried(error) == 30
    assert seconds_tried(OSError(AWAY[2])) == filesystems.PATIENCE_SECONDS
    monkeypatch.setattr(filesystems, "_UNRESOLVED_SECONDS", 0.5)
    begun = time.monotonic()
    with pytest.raises(OSError, match=r"x|resolve"):
        patiently("read it", lambda: (_ for _ in ()).throw(error))
    assert time.monotonic() - begun < 10
