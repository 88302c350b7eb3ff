"""A handler that does not come back for long: this file is for tests of stops."""

from __future__ import annotations

import time
from pathlib import Path


def sleep(event, context):
    Path("asleep").touch()
    time.sleep(8)
