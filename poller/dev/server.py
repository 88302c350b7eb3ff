"""The embedded endpoint's own process: this file is moto's server, which ends with the process that started it."""

from __future__ import annotations

import os
import sys
import threading

from moto.server import main


def _end_with_the_starter() -> None:
    """Standard input is a pipe from the starter, so that even a kill -9 of it is heard, on every system."""
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    threading.Thread(target=_end_with_the_starter, daemon=True).start()
    main(sys.argv[1:])
