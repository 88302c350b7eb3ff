"""What SQLite adds to the contract: durability, group commit, dead owners."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import textwrap
import time
from contextlib import aclosing
from pathlib import Path
from types import SimpleNamespace

import anyio
import pytest

from poller.clock import SystemClock
from poller.errors import ConfigError, Unavailable
from poller.mapping import MappingStatus, State
from poller.model import Checkpoint, Position, SequenceNumber, Shard, ShardId
from poller.stores.sqlite import SqliteStore, _opened
from tests.contract.test_store import ORDERS, S1, START, A, B, after, only, taken


def opened(path):
    return aclosing(SqliteStore(path, SystemClock()))


async def test_rows_survive_the_process(tmp_path):
    path = tmp_path / "poller.db"
    async with opened(path) as store:
        await store.save(await taken(store), after(77))
    async with opened(path) as store:
        assert (await only(store)).checkpoint == after(77)


async def test_a_file_of_the_first_version_is_taken_over_with_its_checkpoints(tmp_path):
    path = tmp_path / "poller.db"
    database = sqlite3.connect(path)
    database.executescript(
        """
        CREATE TABLE shards (
            mapping TEXT NOT NULL, shard TEXT NOT NULL, parents TEXT NOT NULL,
            position TEXT NOT NULL, arrived_at REAL, last_outcome TEXT NOT NULL, saved_at REAL NOT NULL,
            owner TEXT, token INTEGER NOT NULL DEFAULT 0, counter INTEGER NOT NULL DEFAULT 0,
            PRIMARY KEY (mapping, shard)
        ) WITHOUT ROWID;
        INSERT INTO shards VALUES ('orders', 's-1', '[]', 'AFTER:77', 12.5, 'success', 13.0, NULL, 3, 9);
        PRAGMA user_version = 1;
        """
    )
    database.close()
    for _ in range(2):
        async with opened(path) as store:
            row = await only(store)
            assert (row.checkpoint, row.lease.token, row.stream_created_at) == (after(77), 3, None)


async def test_two_workers_on_one_file_share_the_shards(tmp_path):
    path = tmp_path / "poller.db"
    async with opened(path) as one, opened(path) as two:
        lease = await taken(one)
        assert (await only(two)).lease == lease  # alive, hence not given as free
        assert await two.take((await only(two)).lease, B)  # what its silence would allow after a lease time
        with pytest.raises(Exception, match="no longer the owner"):
            await one.save(lease, after(1))


CHILD = """
import anyio, sys
from pathlib import Path
from types import SimpleNamespace
from poller.clock import SystemClock
from poller.stores.sqlite import SqliteStore, _opened
from tests.contract.test_store import taken, after

async def main():
    store = SqliteStore(Path(sys.argv[1]), SystemClock())
    lease = await taken(store)
    number = 0
    while True:
        number += 1
        await store.save(lease, after(number))
        print(number, flush=True)

anyio.run(main)
"""


async def test_a_worker_killed_by_force_keeps_its_checkpoint_and_frees_its_shard_at_once(tmp_path):
    path = tmp_path / "poller.db"
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(CHILD), str(path)], stdout=subprocess.PIPE)
    said = 0
    while said < 20:
        said = int(process.stdout.readline())
    async with opened(path) as store:
        assert (await only(store)).lease.owner == A
        process.kill()
        said = int((process.stdout.read().split() or [said])[-1])
        process.wait()
        row = await only(store)
        assert row.lease.owner is None
        saved = int(row.checkpoint.position.sequence_number)
        assert said <= saved <= said + 1  # all that was answered, and at most the one under way
        assert await store.take(row.lease, B)
    assert not list(tmp_path.glob("*.alive"))


async def test_thousands_of_saves_at_once_share_few_commits(tmp_path, monkeypatch):
    path = tmp_path / "poller.db"
    async with opened(path) as store:
        shards = [(Shard(ShardId(f"s-{number}")), START) for number in range(2000)]
        await store.create(ORDERS, shards)
        leases = []

        async def take(lease):
            leases.append(await store.take(lease, A))

        async with anyio.create_task_group() as tasks:
            for row in await store.rows(ORDERS):
                tasks.start_soon(take, row.lease)
        groups = []
        commit = store._commits._commit
        monkeypatch.setattr(store._commits, "_commit", lambda group: (groups.append(len(group)), commit(group)))
        async with anyio.create_task_group() as tasks:
            for lease in leases:
                tasks.start_soon(store.save, lease, after(1))
    assert sum(groups) >= 2000
    assert len(groups) <= 20


async def test_a_locked_file_is_a_store_that_is_away_for_now(tmp_path, monkeypatch):
    monkeypatch.setattr("poller.stores.sqlite.BUSY_SECONDS", 0.05)
    path = tmp_path / "poller.db"
    async with opened(path) as store:
        lease = await taken(store)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match="locked"):
            await store.save(lease, after(1))
        other.execute("ROLLBACK")
        other.close()
        await store.save(lease, after(1))


async def test_a_file_that_is_not_in_its_place_is_a_store_that_is_away(tmp_path):
    """SQLite would go on with a file that has no name any more, and all that it wrote be lost at the next start."""
    path, away = tmp_path / "poller.db", tmp_path / "away.db"
    async with opened(path) as store:
        lease = await taken(store)
        path.rename(away)
        with pytest.raises(Unavailable, match="No such file"):
            await store.save(lease, after(1))
        path.touch()
        with pytest.raises(Unavailable, match="must be restarted"):
            await store.save(lease, after(1))
        away.replace(path)
        await store.save(lease, after(1))


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ("position = 'nonsense'", "not a position"),
        ("lanes = '[[1]]'", "Error"),
        ("lanes = '{}'", "KeyError"),
        ("tumbling = '[0, 7, 1, 1]'", "Error"),
    ],
)
async def test_a_damaged_row_is_told_and_the_store_goes_on(tmp_path, damage, told):
    path = tmp_path / "poller.db"
    async with opened(path) as store:
        await store.create(ORDERS, [(S1, START)])
        with sqlite3.connect(path) as other:
            other.execute(f"UPDATE shards SET {damage}")
        other.close()
        with anyio.fail_after(5), pytest.raises(Unavailable, match=told):
            await store.rows(ORDERS)
        await store.create(ORDERS, [(Shard(ShardId("s-9")), Checkpoint(Position.after(SequenceNumber("1"))))])


async def test_after_its_end_a_store_answers_that_it_is_closed(tmp_path):
    async with opened(tmp_path / "poller.db") as store:
        pass
    with pytest.raises(Unavailable, match="closed"):
        await store.rows(ORDERS)


@pytest.mark.parametrize("content", [None, b"this is no database at all, whatever its name may say"])
def test_a_file_that_cannot_be_used_is_a_configuration_error(tmp_path, content):
    path = tmp_path / "missing" / "poller.db"
    if content is not None:
        path = tmp_path / "poller.db"
        path.write_bytes(content * 100)
    with pytest.raises(ConfigError, match=r"\[store\] url: cannot open"):
        SqliteStore(path, SystemClock())


def test_a_file_that_another_program_holds_is_refused_in_other_words(tmp_path, monkeypatch):
    monkeypatch.setattr("poller.stores.sqlite.BUSY_SECONDS", 0.05)
    path = tmp_path / "poller.db"
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("PRAGMA journal_mode = WAL")
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(ConfigError, match="another program has been writing to it for long"):
        SqliteStore(path, SystemClock())
    other.close()


def test_a_file_of_a_newer_version_is_refused(tmp_path):
    with sqlite3.connect(tmp_path / "poller.db") as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(ConfigError, match="newer version"):
        SqliteStore(tmp_path / "poller.db", SystemClock())


def test_two_workers_that_make_the_file_at_once_do_not_take_each_other_for_strangers(tmp_path, monkeypatch):
    path, connect = tmp_path / "poller.db", sqlite3.connect

    class Slow(sqlite3.Connection):
        def execute(self, command, *more):
            if command != "PRAGMA user_version":
                return super().execute(command, *more)
            (row,) = super().execute(command, *more)
            monkeypatch.setattr(sqlite3, "connect", connect)
            _opened(path).close()  # the other one is faster
            return SimpleNamespace(fetchone=lambda: row)

    monkeypatch.setattr(sqlite3, "connect", lambda *place, **how: connect(*place, **how, factory=Slow))
    _opened(path).close()


@pytest.mark.parametrize("name", ["a b%20?#.db", "übel.db", "..//poller.db"])
async def test_a_path_may_be_odd(tmp_path, name):
    (tmp_path / "deeper").mkdir()
    path = tmp_path / "deeper" / name
    for place in (path, Path(f"/{path}")):
        async with opened(place) as store:
            assert await store.rows(ORDERS) == []
    assert path.exists()


@pytest.mark.parametrize("read_only", [True, False])
def test_a_database_of_another_program_is_left_as_it_is(tmp_path, read_only):
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE users (name TEXT)")
    database.close()
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="is a database of another program"):
        SqliteStore(path, SystemClock(), read_only=read_only)
    assert path.read_bytes() == before


async def test_a_look_changes_nothing_and_sees_who_is_dead(tmp_path):
    path = tmp_path / "poller.db"
    async with opened(path) as store:
        await store.create(ORDERS, [(S1, START)])
    with sqlite3.connect(path) as other:
        other.execute("UPDATE shards SET owner = 'w/1'")
    other.close()
    (tmp_path / "poller.db.w%2F1.alive").touch()
    before = path.read_bytes()
    async with aclosing(SqliteStore(path, SystemClock(), read_only=True)) as store:
        (row,) = await store.rows(ORDERS)
        assert row.lease.owner is None
        with pytest.raises(Unavailable, match="readonly"):
            await store.create(ORDERS, [(Shard(ShardId("s-9")), START)])
    assert path.read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["poller.db", "poller.db.w%2F1.alive"]


async def test_a_state_that_a_newer_version_wrote_is_as_good_as_none(tmp_path):
    """A mapping is read whatever its row of words says."""
    path = tmp_path / "poller.db"
    async with opened(path) as store:
        await store.report(MappingStatus(ORDERS, State.ENABLED, changed_at=1.0, settings="x"))
        with sqlite3.connect(path) as other:
            other.execute("UPDATE mappings SET state = 'Paused'")
        other.close()
        assert await store.status(ORDERS) is None


def test_the_clock_of_the_machine_tells_epoch_seconds():
    assert abs(SystemClock().now() - time.time()) < 5
