"""The store's own view: this file is the triggers by which SQLite writes down what changes, and how that is read.

Each line is a part of the transaction that it tells of, so that it is there if, and only if, the change is.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from poller.stores import sqlite
from tests.history import entries

_COLUMNS = "INSERT INTO audit (at, life, what, shard, owner, position, token)"
_TRIGGERS = (
    "CREATE TABLE audit (number INTEGER PRIMARY KEY, at REAL, life TEXT, what TEXT, shard TEXT, owner TEXT, "
    "position TEXT, token INTEGER)",
    f"CREATE TRIGGER began AFTER INSERT ON shards BEGIN {_COLUMNS} "
    "VALUES (now(), life(), 'Began', NEW.shard, NULL, NEW.position, NEW.token); END",
    f"CREATE TRIGGER leased AFTER UPDATE ON shards WHEN NEW.token != OLD.token BEGIN {_COLUMNS} "
    "VALUES (now(), life(), 'Leased', NEW.shard, NEW.owner, NEW.position, NEW.token); END",
    "CREATE TRIGGER released AFTER UPDATE ON shards WHEN NEW.owner IS NULL AND OLD.owner IS NOT NULL "
    f"BEGIN {_COLUMNS} VALUES (now(), life(), 'Released', NEW.shard, OLD.owner, NEW.position, NEW.token); END",
    f"CREATE TRIGGER saved AFTER UPDATE ON shards WHEN NEW.saved_at != OLD.saved_at BEGIN {_COLUMNS} "
    "VALUES (now(), life(), 'Saved', NEW.shard, NEW.owner, NEW.position, NEW.token); END",
)


def make(path: Path) -> None:
    """A store with its witness."""
    sqlite._opened(path).close()
    database = sqlite3.connect(path)
    for command in _TRIGGERS:
        database.execute(command)
    database.commit()
    database.close()


def read(path: Path) -> Iterator[entries.Entry]:
    """What happened in the store, as entries; nothing if its witness is gone, as it is with a new file."""
    database = sqlite3.connect(path)
    try:
        question = "SELECT at, life, what, shard, owner, position, token FROM audit ORDER BY number"
        for at, life, what, shard, owner, position, token in database.execute(question):
            match what:
                case "Began":
                    yield entries.Began(at, shard, position)
                case "Leased":
                    yield entries.Leased(at, life, shard, token)
                case "Released":
                    # Others give back what belonged to the dead.
                    yield entries.Released(at, owner.partition("/")[0], shard, token)
                case "Saved":
                    yield entries.Saved(at, life, shard, position, token)
    except sqlite3.OperationalError:
        return
    finally:
        database.close()


def owners(path: Path) -> dict[str, int]:
    """How many shards each life owns."""
    database = sqlite3.connect(path)
    try:
        question = "SELECT owner, COUNT(*) FROM shards WHERE owner IS NOT NULL GROUP BY owner"
        return {owner.partition("/")[0]: count for owner, count in database.execute(question)}
    finally:
        database.close()
