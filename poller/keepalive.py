"""Connections that are silent for long: this file is what keeps a NAT gateway from forgetting them.

A function may work for a quarter of an hour and longer before it says a word. Gateways and load balancers drop
connections that were silent for minutes, and then the answer never comes.
"""

from __future__ import annotations

import socket
from typing import Any

_IDLE_SECONDS = 60
_OPTIONS = {"TCP_KEEPIDLE": _IDLE_SECONDS, "TCP_KEEPALIVE": _IDLE_SECONDS, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}
"""The first is Linux's, the second macOS's name for the same."""


def kept_alive(address: tuple[Any, ...]) -> socket.socket:
    """A socket for ``address`` (see `socket.getaddrinfo`), whose peer is asked for a sign of life when it is silent."""
    family, kind, protocol, *_ = address
    made = socket.socket(family, kind, protocol)
    keep_alive(made)
    return made


def keep_alive(made: Any) -> None:
    """The same for a socket that is there."""
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _OPTIONS.items():
        if hasattr(socket, name):
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
