"""Checkpoints and leases in one SQLite file, for the workers of one host: this file is its SQL and its one writer.

All that is asked for while a commit is under way goes into the next one (group commit), so that thousands of shards
can save each second although every commit waits for the disk.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from poller.errors import ConfigError, LeaseLost
from poller.mapping import MappingStatus, State
from poller.model import (
    Checkpoint,
    Lease,
    MappingId,
    Position,
    Row,
    Shard,
    ShardId,
    Window,
    WorkerId,
    first_token,
)
from poller.ports import Clock
from poller.stores.group_commit import GroupCommit
from poller.stores.owner_locks import OwnerLocks

BUSY_SECONDS = 2.0
"""How long a write waits for another process's commit."""

_VERSION = 2
_SCHEMA = (
    """
    CREATE TABLE IF NOT EXISTS shards (
        mapping TEXT NOT NULL, shard TEXT NOT NULL, parents TEXT NOT NULL, stream_created_at REAL,
        position TEXT NOT NULL, arrived_at REAL, last_outcome TEXT NOT NULL, saved_at REAL NOT NULL,
        lanes TEXT NOT NULL DEFAULT '[]', tumbling TEXT NOT NULL DEFAULT 'null',
        owner TEXT, token INTEGER NOT NULL DEFAULT 0, counter INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (mapping, shard)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE IF NOT EXISTS mappings (
        mapping TEXT NOT NULL PRIMARY KEY, state TEXT NOT NULL, reason TEXT NOT NULL, result TEXT NOT NULL,
        changed_at REAL NOT NULL, settings TEXT NOT NULL
    ) WITHOUT ROWID
    """,
)
_FROM_VERSION_1 = (
    "ALTER TABLE shards ADD COLUMN stream_created_at REAL",
    "ALTER TABLE shards ADD COLUMN lanes TEXT NOT NULL DEFAULT '[]'",
    "ALTER TABLE shards ADD COLUMN tumbling TEXT NOT NULL DEFAULT 'null'",
)
_COLUMNS = (
    "mapping, shard, parents, stream_created_at, position, arrived_at, last_outcome, lanes, tumbling, saved_at, "
    "owner, token, counter"
)
_IS_UNMOVED = "mapping = ? AND shard = ? AND token = ? AND counter = ?"
_IS_OWNERS = "mapping = ? AND shard = ? AND owner = ? AND token = ?"


class SqliteStore:
    """The rows in the file at ``path``, which is made if need be; see `poller.ports.Store`.

    A worker that died gives its shards back at once: each live owner holds a lock on a file beside ``path``.
    ``read_only`` is for a look, which changes nothing. Raises `ConfigError` if the file cannot be used.
    """

    def __init__(self, path: Path, clock: Clock, *, read_only: bool = False) -> None:
        self._clock = clock
        self._read_only = read_only
        self._owners = OwnerLocks(path)
        self._commits = GroupCommit(_opened(path, read_only=read_only), read_only=read_only)

    async def rows(self, mapping: MappingId) -> Sequence[Row]:
        def read(database: sqlite3.Connection) -> list[Row]:
            question = f"SELECT {_COLUMNS} FROM shards WHERE mapping = ?"
            rows = [_row(columns) for columns in database.execute(question, (mapping,))]
            dead = self._owners.dead({row.lease.owner for row in rows if row.lease.owner})
            if not self._read_only:
                database.executemany("UPDATE shards SET owner = NULL WHERE owner = ?", [(each,) for each in dead])
                self._owners.bury(dead)
            return [_without_dead(row, dead) for row in rows]

        return await self._commits.do(read)

    async def create(
        self,
        mapping: MappingId,
        shards: Sequence[tuple[Shard, Checkpoint]],
        *,
        stream_created_at: float | None = None,
        replacing: Sequence[Row] = (),
    ) -> None:
        now = self._clock.now()
        old = [(mapping, row.shard, row.stream_created_at) for row in replacing]
        new = [
            (mapping, shard.id, json.dumps(shard.parents), stream_created_at, *_checkpoint_values(point), now)
            for shard, point in shards
        ]
        values = f"{', '.join('?' * 10)}, NULL, {first_token(stream_created_at)}, 0"
        insert = f"INSERT INTO shards ({_COLUMNS}) VALUES ({values}) ON CONFLICT DO NOTHING"

        def replace_and_add(database: sqlite3.Connection) -> None:
            database.executemany("DELETE FROM shards WHERE mapping = ? AND shard = ? AND stream_created_at IS ?", old)
            database.executemany(insert, new)

        await self._commits.do(replace_and_add)

    async def take(self, lease: Lease, owner: WorkerId) -> Lease | None:
        taken = replace(lease, owner=owner, token=lease.token + 1)
        command = f"UPDATE shards SET owner = ?, token = token + 1 WHERE {_IS_UNMOVED}"

        def take(database: sqlite3.Connection) -> bool:
            self._owners.hold(owner)
            changed = database.execute(command, (owner, lease.mapping, lease.shard, lease.token, lease.counter))
            return changed.rowcount > 0

        return taken if await self._commits.do(take) else None

    async def renew(self, lease: Lease) -> Lease | None:
        def renew(database: sqlite3.Connection) -> int | None:
            # From the row's own counter: a renewal that is repeated after its answer was lost must move it, too.
            database.execute(f"UPDATE shards SET counter = counter + 1 WHERE {_IS_OWNERS}", _fence(lease))
            found = database.execute(f"SELECT counter FROM shards WHERE {_IS_OWNERS}", _fence(lease)).fetchone()
            return int(found[0]) if found else None

        counter = await self._commits.do(renew)
        return None if counter is None else replace(lease, counter=counter)

    async def release(self, lease: Lease) -> None:
        await self._changes(f"UPDATE shards SET owner = NULL WHERE {_IS_OWNERS}", _fence(lease))

    async def save(self, lease: Lease, checkpoint: Checkpoint) -> None:
        columns = "position = ?, arrived_at = ?, last_outcome = ?, lanes = ?, tumbling = ?, saved_at = ?"
        values = (*_checkpoint_values(checkpoint), self._clock.now(), *_fence(lease))
        if not await self._changes(f"UPDATE shards SET {columns} WHERE {_IS_OWNERS}", values):
            raise LeaseLost(f"{lease.owner} is no longer the owner of {lease.shard}")

    async def forget(self, mapping: MappingId, shards: Sequence[ShardId]) -> None:
        command = "DELETE FROM shards WHERE mapping = ? AND shard = ?"
        await self._commits.do(lambda database: database.executemany(command, [(mapping, each) for each in shards]))

    async def status(self, mapping: MappingId) -> MappingStatus | None:
        def read(database: sqlite3.Connection) -> MappingStatus | None:
            columns = "mapping, state, reason, result, changed_at, settings"
            found = database.execute(f"SELECT {columns} FROM mappings WHERE mapping = ?", (mapping,)).fetchone()
            if found is None or found[1] not in list(State):  # a newer version may know another state
                return None
            return MappingStatus(MappingId(found[0]), State(found[1]), *found[2:])

        return await self._commits.do(read)

    async def report(self, status: MappingStatus) -> None:
        values = (status.mapping, status.state, status.reason, status.result, status.changed_at, status.settings)
        command = "INSERT OR REPLACE INTO mappings VALUES (?, ?, ?, ?, ?, ?)"
        await self._commits.do(lambda database: database.execute(command, values))

    async def aclose(self) -> None:
        await self._commits.aclose()
        self._owners.close()

    async def _changes(self, command: str, values: tuple[object, ...]) -> bool:
        return await self._commits.do(lambda database: database.execute(command, values).rowcount > 0)


def _opened(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """The database, ready for use by another thread; commits reach the disk before they are answered."""
    place = f"file://{quote(os.fsencode(path.absolute()))}?{_look_at(path) if read_only else 'mode=rwc'}"
    try:
        database = sqlite3.connect(place, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        has_tables = database.execute("SELECT 1 FROM sqlite_schema").fetchone()  # first: another worker may make them
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version > _VERSION:
            problem = f"[store] url: {path} was made by a newer version of poller; use that version, or another file"
            raise ConfigError((problem,))
        if version == 0 and has_tables:
            raise ConfigError((f"[store] url: {path} is a database of another program; give another file",))
        if read_only and version < _VERSION:
            raise ConfigError((f"[store] url: no worker of this version has used {path} yet",))
        if not read_only:
            _make_ready(database, version)
    except sqlite3.Error as error:
        advice = "the directory must exist and be writable, and the file be a database of poller's"
        if getattr(error, "sqlite_errorname", "") == "SQLITE_BUSY":
            advice = "another program has been writing to it for long; start the worker when that has ended"
        raise ConfigError((f"[store] url: cannot open {path}: {error}; {advice}",)) from error
    return database


def _look_at(path: Path) -> str:
    """How to look at a file: one at rest without the files that SQLite would leave beside it, which others may own."""
    return "mode=ro" if os.path.exists(f"{path}-wal") else "immutable=1"


def _make_ready(database: sqlite3.Connection, version: int) -> None:
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("BEGIN IMMEDIATE")
    for command in (*(_FROM_VERSION_1 if version == 1 else ()), *_SCHEMA):
        database.execute(command)
    database.execute(f"PRAGMA user_version = {_VERSION}")
    database.execute("COMMIT")


def _fence(lease: Lease) -> tuple[object, ...]:
    return lease.mapping, lease.shard, lease.owner, lease.token


def _checkpoint_values(checkpoint: Checkpoint) -> tuple[object, ...]:
    """Position, arrival, last outcome, lanes and tumbling window, as columns."""
    window = checkpoint.window
    lanes = [[str(position) for position in each] for each in (checkpoint.lanes, *checkpoint.earlier)]
    return (
        str(checkpoint.position),
        checkpoint.arrived_at,
        checkpoint.last_outcome.encode(errors="replace").decode(),  # half a surrogate pair is no text for SQLite
        json.dumps({"by_inner_keys": lanes} if checkpoint.by_inner_keys else lanes),
        json.dumps(window and [window.start, window.end, window.state.decode(), window.opened]),
    )


def _checkpoint(position: str, arrived_at: str | None, last_outcome: str, lanes: str, tumbling: str) -> Checkpoint:
    said = json.loads(lanes)
    by_inner_keys = isinstance(said, dict)
    texts = said["by_inner_keys"] if by_inner_keys else said
    current, *earlier = [tuple(Position(each) for each in positions) for positions in texts] or [()]
    start, end, state, opened = json.loads(tumbling) or (0, 0, "", False)
    return Checkpoint(
        Position(position),
        None if arrived_at is None else float(arrived_at),
        last_outcome,
        lanes=current,
        earlier=tuple(earlier),
        window=Window(start, end, state.encode(), opened) if end else None,
        by_inner_keys=by_inner_keys,
    )


def _row(columns: tuple[str, ...]) -> Row:
    mapping, shard, parents, stream_created_at, *checkpoint, saved_at, owner, token, counter = columns
    return Row(
        lease=Lease(MappingId(mapping), ShardId(shard), WorkerId(owner) if owner else None, int(token), int(counter)),
        parents=tuple(ShardId(parent) for parent in json.loads(parents)),
        checkpoint=_checkpoint(*checkpoint),
        saved_at=float(saved_at),
        stream_created_at=None if stream_created_at is None else float(stream_created_at),
    )


def _without_dead(row: Row, dead: set[WorkerId]) -> Row:
    return replace(row, lease=replace(row.lease, owner=None)) if row.lease.owner in dead else row
