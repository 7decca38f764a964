"""A server of MLflow that may be away for a while, and what is said of its failures."""

import logging
import time
from typing import Any

from rankloop.shown import first_line
from rankloop.tracking.away import answers, is_away, says_yes
from rankloop.tracking.location import Location

# Between two looks for a server that is away.
LOOK_SECONDS = 10.0

_LOG = logging.getLogger(__name__)


class Server:
    """Whether MLflow is away for now. A database in a file or behind its own server never is.

    Args:
        client: MLflow's.
        location: where the runs are.
    """

    def __init__(self, client: Any, location: Location) -> None:
        self._client, self._location = client, location
        self._away = self._was_away = self._said = False
        self._next_look = 0.0

    @property
    def is_away(self) -> bool:
        """Whether it is away, as far as the last look tells."""
        if self._away and time.monotonic() >= self._next_look:
            self._away = not says_yes(self._answers_anything)
            self._next_look = time.monotonic() + LOOK_SECONDS
        return self._away

    def is_gone(self, error: Exception) -> bool:
        """Whether a call failed since the server is away, and not since it refuses that call.

        A time-out or an error of a proxy may be of one kind of call, such as uploads: it looks.
        """
        if not (self._location.is_http and is_away(error)):
            return False
        return self._away or not says_yes(self._answers_anything)

    def _answers_anything(self) -> bool:
        if not answers(self._location.uri):
            return False
        try:
            # One without its database answers all with an error, and says that it is in health.
            self._client.search_experiments(max_results=1)
        except Exception as error:
            return not is_away(error)
        return True

    def worked(self) -> None:
        """Take in that a call went well."""
        if self._was_away:
            self._was_away = self._said = False
            _LOG.warning("MLflow at %s is back", self._location.shown)

    def failed(self, error: Exception) -> bool:
        """Take in that a call failed, and warn once of that and once of each time away.

        Returns:
            `is_gone`.
        """
        gone = self.is_gone(error)
        if gone:
            self._said &= self._was_away
            self._away = self._was_away = True
            self._next_look = time.monotonic() + LOOK_SECONDS
        level = logging.DEBUG if self._said else logging.WARNING
        self._said = True
        _LOG.log(
            level,
            "MLflow at %s %s (%s); work goes on, and the result folders hold everything: what the "
            "MLflow pages lack is brought in once it works, or when the same command is run again",
            self._location.shown,
            "is away" if self._away else "fails",
            first_line(error),
        )
        return gone
