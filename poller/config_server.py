"""The ``[server]`` of a configuration: this file reads where metrics and health are served, and how much is told."""

from __future__ import annotations

import re
from dataclasses import dataclass

from poller.config_values import Table

_LISTEN = re.compile(r"(?:\[(?P<ipv6>[0-9a-fA-F:.]+)\]|(?P<host>[^:\[\]\s]+)):(?P<port>[0-9]{1,5})")

SHARD_SERIES_MAX = 200
"""Three series for each cost some 10 ms a scrape."""


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Where metrics and health are served; port 0 takes any free one.

    With more than ``shard_series_max`` shards their ages are told by mapping only.
    """

    host: str = "127.0.0.1"
    port: int = 9464
    shard_series_max: int = SHARD_SERIES_MAX


def read_server(table: Table) -> ServerSettings | None:
    """``None`` where it is switched off."""
    series_max = table.integer("shard_series_max", SHARD_SERIES_MAX)
    if series_max < 0:
        table.complain("shard_series_max", f"{series_max} is out of range", "give 0 or more")
    given = table.text("listen")
    if given is None:
        return ServerSettings(shard_series_max=series_max)
    if not given:
        return None
    match = _LISTEN.fullmatch(given)
    if match is None or int(match["port"]) > 65_535:
        advice = 'write host:port like "127.0.0.1:9464", or "" for no server'
        table.complain("listen", f"{given!r} is not an address to listen on", advice)
        return None
    return ServerSettings(match["ipv6"] or match["host"], int(match["port"]), series_max)
