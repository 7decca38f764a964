"""Whether an MLflow server is away for the moment, which is no reason to stop."""

import re
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread

# A server that is there says so at once.
LOOK_TIMEOUT = 3.0
_NOT_READY = re.compile(r"failed with error code 50[0234]")
_UNKNOWN_HOST = re.compile(r"Name or service not known|nodename nor servname|No address associated")


def is_away(error: BaseException | None) -> bool:
    """Whether an error says that a server does not answer, or that it is not ready yet.

    What will be the same the next time is neither: a refusal, a wrong certificate, no such host.
    """
    import requests

    away = (requests.ConnectionError, requests.Timeout, requests.exceptions.RetryError)
    while error is not None:
        if isinstance(error, requests.exceptions.SSLError) or _UNKNOWN_HOST.search(str(error)):
            return False
        if isinstance(error, (*away, ConnectionError, TimeoutError)):
            return True
        if _NOT_READY.search(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


def answers(uri: str) -> bool:
    """Whether a server answers, whatever it says.

    Args:
        uri: http or https; may hold a password.
    """
    import requests

    try:
        looked = requests.get(f"{uri.rstrip('/')}/health", timeout=LOOK_TIMEOUT)
    except requests.exceptions.SSLError:
        # MLflow may have been told to trust it.
        return True
    except requests.RequestException:
        return False
    return looked.status_code < 500


def says_yes(look: Callable[[], bool], seconds: float = LOOK_TIMEOUT) -> bool:
    """Whether a look says yes within so many seconds; it may go on after that, unheard."""
    found: SimpleQueue[bool] = SimpleQueue()
    # MLflow's client tries again, and a time-out of requests is for each address and each read.
    Thread(target=lambda: found.put(look()), daemon=True).start()
    try:
        return found.get(timeout=seconds)
    except Empty:
        return False
