"""`poller mappings`: this file shows how every mapping of a configuration is, in Lambda's words."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import aclosing
from datetime import UTC, datetime

import anyio

from poller.api.configuration import configuration
from poller.clock import SystemClock
from poller.config import Settings
from poller.errors import Unavailable
from poller.mapping import EventSourceMapping, MappingStatus, State
from poller.opening import function_arn, open_store
from poller.ports import Clock, Store
from poller.rules.lifecycle import settled, started
from poller.status import store_to_look_at, table

Found = tuple[EventSourceMapping, MappingStatus | None]
"""A mapping, and what was reported last of it; ``None`` if no worker has ever started with it."""

_HEAD = ("NAME", "UUID", "STATE", "CHANGED", "REASON", "LAST PROCESSING RESULT")


def main_mappings(settings: Settings, *, as_json: bool) -> int:
    """Prints every mapping of the file, as JSON in the form of Lambda's list (R-API-6) with its name and problems.

    Returns 0, or 1 if the store did not answer. Raises `ConfigError` if it cannot be looked at.
    """
    clock = SystemClock()
    found, problems = anyio.run(_look, settings, store_to_look_at(settings), clock)
    if as_json:
        listed = [_json(*each, settings, clock.now()) for each in found]
        print(json.dumps({"EventSourceMappings": listed, "problems": problems}, indent=2))
    else:
        print(table([_HEAD, *(_cells(*each) for each in found)]))
    print(*problems, sep="\n", end="\n" if problems else "", file=sys.stderr)
    return 1 if problems else 0


async def _look(settings: Settings, store_url: str, clock: Clock) -> tuple[list[Found], list[str]]:
    async with aclosing(open_store(store_url, clock, read_only=True)) as store:
        return await last_reports(settings.mappings, store)


async def last_reports(mappings: Sequence[EventSourceMapping], store: Store) -> tuple[list[Found], list[str]]:
    """What ``store`` knows of each mapping; those for which it did not answer are told as problems."""
    found: list[Found] = []
    problems: list[str] = []
    for mapping in mappings:
        try:
            found.append((mapping, await store.status(mapping.id)))
        except Unavailable as error:
            problems.append(f"{mapping.name}: {error}")
    return found, problems


def _json(
    mapping: EventSourceMapping, status: MappingStatus | None, settings: Settings, now: float
) -> dict[str, object]:
    status = status or _not_started(mapping, now)
    return {**configuration(mapping, status, function_arn=function_arn(mapping, settings)), "Name": mapping.name}


def _not_started(mapping: EventSourceMapping, now: float) -> MappingStatus:
    """As Lambda would have it: Creating, until a worker starts; but what is disabled needs none."""
    first = started(None, mapping, now)
    return first if mapping.enabled else settled(first, enabled=False, now=now)


def _cells(mapping: EventSourceMapping, status: MappingStatus | None) -> tuple[str, ...]:
    if status is None:
        return mapping.name, mapping.id, "not started" if mapping.enabled else State.DISABLED.value, "-", "-", "-"
    changed = datetime.fromtimestamp(status.changed_at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    return mapping.name, mapping.id, status.state.value, changed, status.reason, status.result
