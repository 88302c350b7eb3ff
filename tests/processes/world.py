"""A stream, its producer, its workers and their store, all of them real: this file starts them and gives a verdict.

Everything that happens in a run is in the files of its folder, and judged from there by `tests.history.checker`.
"""

from __future__ import annotations

import subprocess
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.history import entries
from tests.history.checker import Checker
from tests.history.promises import Promises
from tests.processes import audit, told
from tests.processes.feeding import Producer, StreamServer
from tests.processes.lives import DRAIN_SECONDS, Life
from tests.processes.server import ARN, FAILURES
from tests.processes.tally import Tally

RETRIES = 2

_CONFIG = """
[worker]
id = "{life}"
drain_timeout_seconds = {drain}
[server]
listen = "{listen}"
[aws]
region = "us-east-1"
invoke_identity_arn = "arn:aws:iam::123456789012:role/poller"
endpoint_url = "{endpoint}"
{endpoints}
[store]
url = "sqlite:///{store}"
[functions.handle]
handler = "tests.processes.handler:handle"
timeout_seconds = 30
[[event_source_mappings]]
name = "orders"
event_source_arn = "{arn}"
function_name = "handle"
starting_position = "TRIM_HORIZON"
batch_size = {batch}
parallelization_factor = {lanes}
maximum_retry_attempts = {retries}
bisect_batch_on_function_error = true
function_response_types = ["ReportBatchItemFailures"]
destination_config = {{ on_failure = {{ destination = "{failures}" }} }}
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is like. Every ``poison``th number fails always; ``mutant`` is one of `tests.processes.mutants`."""

    shards: int = 2
    lanes: int = 1
    batch: int = 10
    per_second: float = 100.0
    failures: float = 0.1
    seconds: float = 0.02
    poison: int = 211
    retention_seconds: float = 0.0
    mutant: str = ""


@dataclass(slots=True)
class Verdict:
    """What a run came to."""

    violations: list[str]
    put: int
    attempts: int
    handled: int
    repeated: int
    discarded: int
    seen: Counter[str] = field(default_factory=Counter)


class World:
    """A run in ``folder``; use it in a ``with`` block, at whose end no process of it is left."""

    def __init__(self, folder: Path, plan: Plan, random: Random | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.plan = plan
        self.random = random or Random()
        self.server = StreamServer(folder, shards=plan.shards, retention_seconds=plan.retention_seconds)
        self.producer = Producer(self.server, plan.per_second)
        self.endpoint = f"http://127.0.0.1:{self.server.port}"
        self.endpoints = ""
        self.failures = f"http://127.0.0.1:{self.server.port}{FAILURES}"
        self.store = "poller.db"
        self.listen = ""
        self.lives: list[Life] = []
        self.more: list[entries.Entry] = []
        self._tally = Tally(folder, plan.lanes)

    def __enter__(self) -> World:
        if not (self.folder / self.store).exists():
            audit.make(self.folder / self.store)
        self.server.start()
        return self

    def __exit__(self, *_what: object) -> None:
        for life in self.alive():
            life.kill()
        self.server.kill()

    def spawn(self, *, dies_at: str = "", sleeps_at: str = "", through_pipes: bool = False, **environment: str) -> Life:
        """A new worker."""
        name, plan = f"life-{len(self.lives):04}", self.plan
        config = _CONFIG.format(
            life=name,
            drain=DRAIN_SECONDS,
            listen=self.listen,
            endpoint=self.endpoint,
            endpoints=self.endpoints,
            store=self.store,
            arn=ARN,
            batch=plan.batch,
            lanes=plan.lanes,
            retries=RETRIES,
            failures=self.failures,
        )
        told_of = {
            "HISTORY_FILE": str(self.folder / "handler.jsonl"),
            "HANDLER_FAILURES": str(plan.failures),
            "HANDLER_SECONDS": str(plan.seconds),
            "HANDLER_POISON": str(plan.poison),
            "DIES_AT": dies_at,
            "SLEEPS_AT": sleeps_at,
            "MUTANT": plan.mutant,
        }
        self.tell(entries.Started(time.time(), name, plan.lanes, plan.batch))
        life = Life(name, self.folder, config, {**told_of, **environment}, through_pipes=through_pipes)
        self.lives.append(life)
        return life

    def tell(self, entry: entries.Entry) -> None:
        told.tell(self.folder / "test.jsonl", entry)

    def crashed(self, life: Life, how: str) -> None:
        self.tell(entries.Crashed(time.time(), life.name))
        self.tell(entries.Struck(time.time(), how, life.name))

    def alive(self) -> list[Life]:
        return [life for life in self.lives if life.alive]

    def waiting(self) -> int:
        """How many records are neither handled nor given up."""
        return self._tally.look(self.lives)

    def wait_until(self, done: Callable[[], bool], what: str, within_seconds: float = 60.0) -> None:
        deadline = time.monotonic() + within_seconds
        while not done():
            assert time.monotonic() < deadline, f"not in {within_seconds:g} s: {what}; {self.waiting()} records wait"
            time.sleep(0.1)

    def resolved(self, within_seconds: float = 120.0) -> bool:
        """Waits until no record waits any more; nobody puts any."""
        deadline = time.monotonic() + within_seconds
        while self.waiting():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.2)
        return True

    def finish(self, within_seconds: float = 120.0) -> Verdict:
        """Lets everything come to its end, stops all, and judges."""
        if self.producer.ident is not None:
            self.producer.end()
        late = [] if self.resolved(within_seconds) else [f"I9 {self.waiting()} records wait after {within_seconds:g} s"]
        late += self.stop(self.alive())
        return self.judge(late)

    def stop(self, lives: Sequence[Life]) -> list[str]:
        """Lets them drain; what is wrong with how they ended. While Python starts, nobody hears a signal."""
        for life in lives:
            life.wait_until_it_says("worker started")
        for life in lives:
            life.ask_to_stop()
        problems = []
        for life in lives:
            try:
                code = life.exit_code()
            except subprocess.TimeoutExpired:
                life.kill()
                code = -9
            if code != 0:
                problems.append(f"{life.name} ended with {code} after SIGTERM")
        return problems

    def judge(self, violations: Sequence[str] = ()) -> Verdict:
        history = told.gathered(
            self.folder, self.folder / self.store, self.lives, lanes=self.plan.lanes, more=self.more
        )
        told.write(history, self.folder / "history.jsonl")
        promises = Promises(by_key=self.plan.lanes > 1, bisect=True, retries_max=RETRIES, page_records=1000)
        found = [*violations, *self._failed_shards(), *Checker(promises).judge(history.entries)]
        handled: Counter[int] = Counter()
        discarded, attempts, seen = set[int](), 0, Counter[str]()
        for entry in history.entries:
            match entry:
                case entries.Handled():
                    handled.update(entry.numbers)
                case entries.Discarded():
                    discarded.update(entry.numbers)
                case entries.Attempted():
                    attempts += 1
                case entries.Struck():
                    seen[entry.fault] += 1
        repeated = handled.total() - len(handled)
        if found:
            (self.folder / "violations.txt").write_text("\n".join(found) + "\n")
        return Verdict(found, len(history.keys), attempts, len(handled), repeated, len(discarded), seen)

    def _failed_shards(self) -> list[str]:
        return [f"I9 a shard failed in {life.name}" for life in self.lives if life.said("shard failed")]
