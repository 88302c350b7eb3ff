"""What of the SDK's types JSON has no form for, as an event has it."""

from __future__ import annotations

import base64
from datetime import datetime


def plain(value):
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime):
        return value.timestamp()
    raise TypeError(value)
