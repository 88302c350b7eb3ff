"""``python -m tests.processes.disks``: this file takes the store away in every way in which disks and people do.

The worker must stop or stand still, and say so; it never runs on without a store. When the trouble is over, or when it
is started anew, it goes on, and nothing is lost.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from poller.cli import EXIT_CONFIG
from tests.history import entries
from tests.processes import audit
from tests.processes.lives import Life
from tests.processes.report import Run
from tests.processes.world import Plan, Verdict, World

PLAN = Plan(shards=2, per_second=40.0, failures=0.05, poison=0)
AWAY_SECONDS = 4.0
LOCKED_SECONDS = 18.0
"""Longer than a lease."""
SAYS = ("checkpoint not saved", "the mapping cannot go on")


class Impossible(Exception):
    """This machine does not let it be tried; the text says why."""


Case = Callable[[World], None]


def _start(world: World, **more) -> Life:
    """A worker that works."""
    life = world.spawn(**more)
    world.producer.start()
    life.wait_until_it_says("shard taken")
    world.wait_until(lambda: _attempts(world) > 10, "the worker works")
    return life


def _attempts(world: World) -> int:
    path = world.folder / "handler.jsonl"
    return path.read_text().count('"Attempted"') if path.exists() else 0


def _stands_still(world: World, life: Life, seconds: float = AWAY_SECONDS) -> None:
    """It says what the matter is, and finishes at most what was under way."""
    before = _attempts(world)
    deadline = time.monotonic() + 10.0
    while not any(life.said(text) for text in SAYS):
        assert time.monotonic() < deadline, f"the worker said nothing:\n{life.tail()}"
        time.sleep(0.05)
    time.sleep(seconds)
    more = _attempts(world) - before
    assert more <= world.plan.shards * world.plan.lanes + 5, f"{more} batches were sent without a store"
    standing = _attempts(world)
    time.sleep(1.0)
    assert _attempts(world) == standing, "batches are sent without a store"
    assert life.alive, f"the worker ended:\n{life.tail()}"


def _refuses_to_start(world: World) -> Life:
    life = world.spawn(OBEYS_FILE_RIGHTS="1")
    assert life.exit_code(30.0) == EXIT_CONFIG, life.tail()
    assert life.said("[store] url: cannot open"), life.tail()
    return life


def file_size_limited(world: World) -> None:
    """No file can grow any more, as with a quota."""
    life = _start(world, through_pipes=True)
    _, hard = resource.prlimit(life.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(life.process.pid, resource.RLIMIT_FSIZE, (0, hard))
    _stands_still(world, life)
    resource.prlimit(life.process.pid, resource.RLIMIT_FSIZE, (hard, hard))


def disk_full(world: World) -> None:
    """A small disk of its own, filled to the last byte. Raises `Impossible` if none can be mounted."""
    disk = world.folder / "disk"
    life = _start(world)
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            pass
    _stands_still(world, life)
    filler.unlink()


def read_only_directory(world: World) -> None:
    """Whoever may not write there does not start; when it may, it does."""
    world.producer.start()
    world.folder.joinpath("place").chmod(0o555)
    _refuses_to_start(world)
    world.folder.joinpath("place").chmod(0o755)
    life = world.spawn(OBEYS_FILE_RIGHTS="1")
    life.wait_until_it_says("shard taken")


def read_only_file(world: World) -> None:
    world.producer.start()
    path = world.folder / world.store
    path.chmod(0o444)
    _refuses_to_start(world)
    for each in world.folder.glob("poller.db*"):  # SQLite has given its log the rights of its file
        each.chmod(0o644)
    life = world.spawn(OBEYS_FILE_RIGHTS="1")
    life.wait_until_it_says("shard taken")


def file_moved_away(world: World) -> None:
    """Away for a while, and back."""
    life = _start(world)
    path = world.folder / world.store
    away = path.with_name("away.db")
    path.rename(away)
    _stands_still(world, life)
    away.rename(path)


def file_deleted(world: World) -> None:
    """What was in it is lost, and with it where the shards are read to: all is handled once more, after a restart."""
    life = _start(world)
    _keep_audit(world)
    for path in world.folder.glob("poller.db*"):
        if not path.name.endswith(".alive"):
            path.unlink()
    _stands_still(world, life)
    world.more += [entries.Restored(time.time(), ())]
    assert world.stop([life]) == []
    world.spawn().wait_until_it_says("shard taken")


def log_truncated(world: World) -> None:
    """The newest half of SQLite's log is gone: it is as if somebody had put back an older copy."""
    _start(world).kill()
    _keep_audit(world)
    path = world.folder / "poller.db-wal"
    os.truncate(path, path.stat().st_size // 2)
    world.more += [_restored(world)]
    world.spawn().wait_until_it_says("shard taken")


def database_spoilt(world: World) -> None:
    """The file is garbage: no worker starts with it. An older copy is put in its place."""
    path, copy = world.folder / world.store, world.folder / "copy.db"
    life = _start(world)
    with closing(sqlite3.connect(path)) as here, closing(sqlite3.connect(copy)) as there:
        here.backup(there)
    time.sleep(2.0)
    assert world.stop([life]) == []  # as long as SQLite's log has all pages, nobody looks into the file
    _keep_audit(world)
    path.write_bytes(b"garbage " * 1000)
    _refuses_to_start(world)
    for each in world.folder.glob("poller.db-*"):
        each.unlink()
    copy.rename(path)
    world.more += [_restored(world)]
    world.spawn().wait_until_it_says("shard taken")


def database_cut_off(world: World) -> None:
    """Half of the file is gone: SQLite says so, at the start or at the first look."""
    path, copy = world.folder / world.store, world.folder / "copy.db"
    life = _start(world)
    assert world.stop([life]) == []
    _keep_audit(world)
    copy.write_bytes(path.read_bytes())
    os.truncate(path, path.stat().st_size // 2)
    broken = world.spawn()
    deadline = time.monotonic() + 20.0
    while broken.alive and not any(broken.said(text) for text in SAYS):
        assert time.monotonic() < deadline, broken.tail()
        time.sleep(0.05)
    assert broken.said("malformed") or broken.said("cannot open") or broken.said("disk I/O"), broken.tail()
    if broken.alive:
        broken.kill()
    for each in world.folder.glob("poller.db-*"):
        each.unlink()
    copy.rename(path)
    world.more += [_restored(world)]
    world.spawn().wait_until_it_says("shard taken")


def lock_held(world: World) -> None:
    """Another program writes, and does not come to an end for longer than a lease lasts."""
    life = _start(world)
    with closing(sqlite3.connect(world.folder / world.store, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        _stands_still(world, life, LOCKED_SECONDS)
        assert life.said("lease lost")
        other.execute("ROLLBACK")


CASES: tuple[Case, ...] = (
    lock_held,
    disk_full,
    file_size_limited,
    read_only_directory,
    read_only_file,
    file_moved_away,
    file_deleted,
    log_truncated,
    database_spoilt,
    database_cut_off,
)
NAMES = tuple(case.__name__ for case in CASES)


def _keep_audit(world: World) -> None:
    """What the store told up to now; read from a copy, since whoever closes a store last tidies it up."""
    with tempfile.TemporaryDirectory() as name:
        for path in world.folder.glob("poller.db*"):
            if not path.name.endswith((".alive", "-shm")):
                shutil.copy(path, name)
        world.more += list(audit.read(Path(name) / "poller.db"))


def _restored(world: World) -> entries.Restored:
    with closing(sqlite3.connect(world.folder / world.store)) as database:
        return entries.Restored(time.time(), tuple(database.execute("SELECT shard, position FROM shards")))


def run(case: Case, folder: Path, mutant: str = "") -> Verdict:
    """One case. Raises `Impossible`."""
    world = World(folder, replace(PLAN, mutant=mutant))
    if case is disk_full:
        _mount(folder / "disk")
        world.store = "disk/poller.db"
    if case is read_only_directory:
        (folder / "place").mkdir(parents=True)
        world.store = "place/poller.db"
    try:
        with world:
            try:
                case(world)
            except (AssertionError, subprocess.TimeoutExpired) as problem:
                return Verdict([f"{case.__name__}: {problem}"], 0, 0, 0, 0, 0)
            verdict = world.finish(60.0)
        verdict.violations = [f"{case.__name__}: {each}" for each in verdict.violations]
        verdict.seen[case.__name__] += 1
        return verdict
    finally:
        if case is disk_full:
            subprocess.run(["umount", "--lazy", str(folder / "disk")], check=False)


def _mount(place: Path) -> None:
    place.mkdir(parents=True)
    if os.geteuid() != 0:
        raise Impossible("only root can mount a small disk")
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        raise Impossible(f"no small disk can be mounted here: {mounted.stderr.strip()}")


def run_all(folder: Path, say: Callable[[str], None], at_once: int = 3) -> tuple[list[Verdict], list[str]]:
    """All cases, some at a time; the verdicts, and what is impossible here."""
    impossible: list[str] = []

    def judged(case: Case) -> Verdict | None:
        started = time.monotonic()
        try:
            verdict = run(case, folder / case.__name__)
        except Impossible as reason:
            impossible.append(f"{case.__name__}: {reason}")
            return None
        say(f"{case.__name__}: {time.monotonic() - started:.0f} s, {len(verdict.violations)} violations")
        return verdict

    with ThreadPoolExecutor(at_once) as several:
        verdicts = [verdict for verdict in several.map(judged, CASES) if verdict is not None]
    return verdicts, impossible


def main(arguments: list[str]) -> int:
    argparse.ArgumentParser(prog="python -m tests.processes.disks", description=__doc__).parse_args(arguments)
    run_of_all = Run("disks")
    verdicts, impossible = run_all(run_of_all.folder, run_of_all.say)
    return run_of_all.end(verdicts, cases=len(verdicts), impossible=impossible)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
