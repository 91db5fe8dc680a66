"""How long a reason is believed, and how long a hopeless one is put up with.

To find out why something does not start takes a handful of lists of the cluster; that is asked for
every few seconds, and not at each look. A reason that waiting cannot help is given some seconds all
the same: a controller may just not have come round.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from clusters.reasons import Reason

ASK_SECONDS = 3.0
HOPELESS_SECONDS = 8.0


class Patience:
    """The reason of one wait.

    Args:
        ask: Finds the reason out.
        clock: Seconds, of any beginning.
    """

    def __init__(
        self, ask: Callable[[], Reason], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._asked = float("-inf")
        self._hopeless_since: float | None = None
        self._reason: Reason | None = None

    @property
    def due(self) -> bool:
        """Whether the next `reason` asks anew."""
        return self._clock() - self._asked >= ASK_SECONDS

    @property
    def ended(self) -> bool:
        """Whether the reason has been hopeless for too long."""
        since = self._hopeless_since
        return since is not None and self._clock() - since >= HOPELESS_SECONDS

    @property
    def hint(self) -> str:
        """What to do about the reason that was found out last."""
        return self._reason.hint if self._reason else ""

    def reason(self) -> Reason:
        """The reason as it was found out last."""
        if self._reason is None or self.due:
            self._asked = self._clock()
            self._reason = self._ask()
            if not self._reason.hopeless:
                self._hopeless_since = None
            elif self._hopeless_since is None:
                self._hopeless_since = self._asked
        return self._reason
