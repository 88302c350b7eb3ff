"""`poller shards`: this file puts together what store and stream know of every shard, for people and for machines."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import aclosing, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from random import Random

import anyio

from poller.arns import SourceKind, source_kind
from poller.clock import SystemClock
from poller.config import Settings, store_path
from poller.errors import ConfigError, PositionLost, SourceGone, Unavailable
from poller.events import Event
from poller.mapping import EventSourceMapping
from poller.model import Listing, Position, Row, ShardId
from poller.opening import open_aws, open_source, open_store
from poller.ports import Clock, Room, Source, Store, all_room
from poller.rules import lineage
from poller.rules.timestamps import iso_seconds

READS_AT_ONCE = 10
READ_SECONDS_MAX = 10.0
"""A lag costs one call for a record, which counts against the shard's limit of calls."""
EMPTY_ANSWERS_MAX = 4
"""So many answers may be empty where the service does not say how far behind they are; then nobody knows."""

_HEAD = ("MAPPING", "SHARD", "PARENTS", "STATE", "POSITION", "LAG", "SAVED", "LAST OUTCOME")


@dataclass(frozen=True, slots=True)
class ShardStatus:
    """One shard of one mapping; ``lag_seconds`` and ``saved_seconds_ago`` are ``None`` where they are not known.

    ``state``: ``unknown`` (no checkpoint yet), ``waits for parents``, ``free``, ``read`` or ``finished``. ``lanes``:
    how far each lane is, if they are not equally far; ``position`` is that of the last. ``window_end``: when the
    tumbling window ends that is open.
    """

    mapping: str
    shard: str
    parents: tuple[str, ...]
    state: str
    position: str
    lag_seconds: float | None
    last_outcome: str
    owner: str
    saved_seconds_ago: float | None
    problem: str = ""
    lanes: tuple[str, ...] = ()
    window_end: str | None = None


def main_shards(settings: Settings, *, as_json: bool) -> int:
    """Prints every shard of every mapping. Returns 0, or 1 if store or stream did not answer for an enabled one."""
    shards, problems = anyio.run(_look, settings, store_to_look_at(settings))
    texts = [f"{mapping.name}: {problem}" for mapping, problem in problems]
    if as_json:
        print(json.dumps({"shards": [asdict(each) for each in shards], "problems": texts}, indent=2))
    else:
        print(table([_HEAD, *(_cells(each) for each in shards)]))
        print(*texts, sep="\n", end="\n" if texts else "", file=sys.stderr)
    return 1 if any(mapping.enabled for mapping, _ in problems) else 0


def store_to_look_at(settings: Settings) -> str:
    """The URL to open for a look: an empty store as long as there is no file, since looking must not make one.

    That there is none is told on stderr, as a relative path is another file in another directory. Raises `ConfigError`
    for a store that cannot be looked at.
    """
    path = store_path(settings.store_url)
    if path is None:
        problem = 'a "memory:" store lives inside its worker; only a store in a file can be looked at from outside'
        raise ConfigError((f"{settings.path}: store.url: {problem}",))
    try:
        path.stat()
    except FileNotFoundError:
        print(f"no worker has saved anything yet in {path.absolute()}", file=sys.stderr)
        return "memory:"
    except (OSError, ValueError) as error:  # a ValueError is a NUL in the path
        raise ConfigError((f"{settings.path}: store.url: cannot look at {path}: {error}",)) from error
    return settings.store_url


def table(lines: Sequence[tuple[str, ...]]) -> str:
    """Lines of cells, as text in columns; the first line is the head."""
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


async def _look(settings: Settings, store_url: str) -> tuple[list[ShardStatus], list[tuple[EventSourceMapping, str]]]:
    clock = SystemClock()
    found: list[ShardStatus] = []
    problems: list[tuple[EventSourceMapping, str]] = []
    async with aclosing(open_aws(settings.aws)) as aws, aclosing(open_store(store_url, clock, read_only=True)) as store:
        for mapping in settings.mappings:
            source = open_source(mapping, aws, _hear_nothing, clock, Random(), room=_room(mapping))
            try:
                shards, problem = await statuses(mapping, store, source, clock)
            except Unavailable as error:
                shards, problem = [], str(error)
            found += shards
            if problem:
                problems.append((mapping, problem))
    return found, problems


async def statuses(
    mapping: EventSourceMapping, store: Store, source: Source, clock: Clock
) -> tuple[list[ShardStatus], str]:
    """All shards of a mapping, parents first, and why the stream could not be listed, if it could not.

    Then only what the store knows is told. Raises `Unavailable` if the store does not answer.
    """
    rows = {row.shard: row for row in await store.rows(mapping.id)}
    try:
        listing, trouble = await source.listing(), ""
    except (Unavailable, SourceGone) as error:
        listing, trouble = Listing(()), str(error)
    ready = {row.shard for row in lineage.readable(list(rows.values()), listing)}
    parents = {shard.id: shard.parents for shard in listing.shards} | {row.shard: row.parents for row in rows.values()}
    lags: dict[ShardId, tuple[float | None, str]] = {}
    limit = anyio.CapacityLimiter(READS_AT_ONCE)

    async def measure(row: Row) -> None:
        async with limit:
            lags[row.shard] = await _lag(source, row.shard, row.checkpoint.position, clock)

    async with anyio.create_task_group() as tasks:
        for row in rows.values():
            if not row.finished and not trouble:
                tasks.start_soon(measure, row)
    return [
        _status(mapping.name, shard, parents[shard], rows.get(shard), lags.get(shard), clock, ready=shard in ready)
        for shard in _parents_first(parents)
    ], trouble


async def _lag(source: Source, shard: ShardId, position: Position, clock: Clock) -> tuple[float | None, str]:
    """How far ``position`` is behind, from the next answers of the stream; what is wrong, if there were none."""
    empty = 0
    with anyio.move_on_after(READ_SECONDS_MAX):
        try:
            async with aclosing(source.reread(shard, position)) as pages:
                async for page in pages:
                    if page.records:
                        return max(0.0, clock.now() - page.records[0].arrived_at), ""
                    if page.ended or page.behind_seconds is not None:
                        return page.behind_seconds or 0.0, ""
                    empty += 1
                    if empty == EMPTY_ANSWERS_MAX:
                        return None, ""
        except (PositionLost, SourceGone, Unavailable) as error:
            return None, str(error)
    return None, "the stream did not answer in time"


def _status(
    mapping: str,
    shard: ShardId,
    parents: Sequence[ShardId],
    row: Row | None,
    lag: tuple[float | None, str] | None,
    clock: Clock,
    *,
    ready: bool,
) -> ShardStatus:
    if row is None:
        return ShardStatus(mapping, shard, tuple(parents), "unknown", "", None, "", "", None)
    state = "finished" if row.finished else "waits for parents" if not ready else "read" if row.lease.owner else "free"
    seconds, problem = lag or (0.0 if row.finished else None, "")
    window = row.checkpoint.window
    return ShardStatus(
        mapping=mapping,
        shard=shard,
        parents=tuple(parents),
        state=state,
        position=str(row.checkpoint.position),
        lag_seconds=None if seconds is None else round(seconds, 3),
        last_outcome=row.checkpoint.last_outcome,
        owner=row.lease.owner or "",
        saved_seconds_ago=round(max(0.0, clock.now() - row.saved_at), 3),
        problem=problem,
        lanes=tuple(str(each) for each in row.checkpoint.lanes),
        window_end=iso_seconds(window.end) if window and window.opened else None,
    )


def _parents_first(parents: dict[ShardId, tuple[ShardId, ...]]) -> list[ShardId]:
    ordered: dict[ShardId, None] = {}

    def add(shard: ShardId) -> None:
        for parent in parents[shard]:
            if parent in parents and parent not in ordered:
                add(parent)
        ordered[shard] = None

    for shard in sorted(parents):
        if shard not in ordered:
            add(shard)
    return list(ordered)


def _cells(each: ShardStatus) -> tuple[str, ...]:
    lag = "?" if each.lag_seconds is None else f"{each.lag_seconds:.1f} s"
    saved = "-" if each.saved_seconds_ago is None else f"{each.saved_seconds_ago:.0f} s ago"
    further = sum(position != each.position for position in each.lanes)
    last = " ".join((each.problem or each.last_outcome or "-").split())
    return (
        each.mapping,
        each.shard,
        ",".join(each.parents) or "-",
        each.state,
        (each.position or "-") + (f" ({further} of {len(each.lanes)} lanes further)" if further else ""),
        lag,
        saved,
        last if len(last) <= 60 else last[:57] + "...",
    )


def _room(mapping: EventSourceMapping) -> Room:
    """One record of Kinesis, as more would be taken from the worker's two megabytes a second.

    An answer of DynamoDB is small, and may have to hold all that `LATEST` leaves out.
    """
    return all_room if source_kind(mapping.source_arn) is SourceKind.DYNAMODB_STREAM else partial(nullcontext, 1)


def _hear_nothing(event: Event) -> None:
    """Nobody listens here."""
