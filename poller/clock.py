"""Wall time: this file is the only one that reads it."""

from __future__ import annotations

import time


class SystemClock:
    """The machine's clock; see `poller.ports.Clock`."""

    def now(self) -> float:
        return time.time()
