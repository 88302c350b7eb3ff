"""What went wrong on the way to an HTTP server: this file tells it without the URL, which may hold a secret."""

from __future__ import annotations

import re

_URL = re.compile(r"\S*://\S*")


def told(error: Exception) -> str:
    """An error of an HTTP client's in words; its own may quote the whole URL, with path and query."""
    said = _URL.sub("...", str(error))
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
