"""How a process ends that is asked to."""

import signal
import threading


def stop_at_sigterm() -> None:
    """End at SIGTERM as after Ctrl-C, which schedulers send; in the main thread, else not at all.

    Ray's own handler, from when it starts on, ends as a crash does.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)
