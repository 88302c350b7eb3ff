"""What went wrong on the way to an HTTP server: this file tells it without the URL, which may hold a secret."""

from __future__ import annotations

import aiohttp


def told(error: Exception) -> str:
    """An error of aiohttp's in words that hold nothing of the URL, which some of its own texts quote to the end."""
    match error:
        case aiohttp.ConnectionTimeoutError() | aiohttp.InvalidURL():
            said = ""
        case aiohttp.ClientResponseError():
            said = error.message
        case _:
            said = str(error)
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
