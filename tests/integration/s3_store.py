"""An S3 server that answers errors for as long as a file exists, and everything after some seconds:
run as ``s3_store.py HOST PORT FILE [SECONDS]``."""

import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple

BUSY = (
    b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>InternalError</Code>'
    b"<Message>We encountered an internal error. Please try again.</Message></Error>"
)


def main() -> None:
    host, port, file, *seconds = sys.argv[1:]
    wait = float(seconds[0]) if seconds else 0.0
    store = DomainDispatcherApplication(create_backend_app)
    away = Path(file)

    def serve(environment: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        time.sleep(wait)
        if away.exists():
            start("500 Internal Server Error", [("Content-Type", "application/xml")])
            return [BUSY]
        answer: Iterable[bytes] = store(environment, start)
        return answer

    run_simple(host, int(port), serve, threaded=True)


if __name__ == "__main__":
    main()
