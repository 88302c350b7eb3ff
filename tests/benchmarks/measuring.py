"""What a program costs while it works: this file runs it against a canned endpoint, and reads the kernel's accounts."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme

from tests.benchmarks.worker import configured

ROOT = Path(__file__).resolve().parents[2]
_ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true"}


@dataclass(frozen=True, slots=True)
class Stride:
    """What comes before it: so many polls of each shard, within so many seconds."""

    polls: int = 3
    seconds_max: float = 60.0


_STRIDES = {"kcl": Stride(polls=120, seconds_max=300)}
"""The KCL waits up to half a minute before it has leases, and Java gets faster for a million records."""


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be done: ``size`` bytes a record, ``records`` a page, batches of ``batch`` to ``target``.

    Shards without ``pages`` are idle, or get ``rate`` records a second. ``listen``: where the worker serves metrics.
    """

    kind: str = "kinesis"
    shards: int = 1
    pages: int = 1_000_000
    records: int = 1000
    size: int = 1024
    batch: int = 1000
    target: str = "invoke"
    rate: float = 0.0
    listen: str = ""


@dataclass(frozen=True, slots=True)
class Cost:
    """What was done in so many seconds, and what it took; ``gaps``: seconds between the polls of a shard, in order."""

    seconds: float
    cpu_seconds: float
    records: int
    polls: int
    invocations: int
    resident_bytes: int
    peak_bytes: int
    gaps: tuple[float, ...]

    @property
    def per_record(self) -> float:
        """CPU seconds."""
        return self.cpu_seconds / self.records

    @property
    def per_poll(self) -> float:
        """CPU seconds."""
        return self.cpu_seconds / self.polls


@dataclass(frozen=True, slots=True)
class Certificates:
    """Files: of a server for 127.0.0.1 with its key, and of the authority that vouches for it."""

    server: Path
    authority: Path


def certificates(folder: Path) -> Certificates:
    """New ones."""
    made = Certificates(folder / "server.pem", folder / "authority.pem")
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(made.server)
    authority.cert_pem.write_to_path(made.authority)
    return made


class Endpoint:
    """A canned endpoint; ``url`` is where it is."""

    def __init__(self, work: Work, tls: Certificates | None = None) -> None:
        load = {"kind": work.kind, "shards": work.shards, "pages": work.pages, "records": work.records}
        options = [f"--{name}={value}" for name, value in {**load, "size": work.size, "rate": work.rate}.items()]
        options += [f"--certificate={tls.server}"] if tls else []
        command = [sys.executable, "-m", "tests.benchmarks.canned", *options]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{int(self._process.stdout.readline())}"
        self.environment = {"AWS_CA_BUNDLE": str(tls.authority)} if tls else {}
        self._trusted = ssl.create_default_context(cafile=tls.authority) if tls else None

    def counts(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.url}/counts", context=self._trusted) as answer:
            return json.load(answer)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


@contextmanager
def running(name: str, work: Work, endpoint: Endpoint) -> Iterator[subprocess.Popen]:
    """The process of a peer, or of the worker itself by the name ``poller``."""
    with tempfile.TemporaryDirectory() as folder:
        if name == "poller":
            path = configured(Path(folder), endpoint.url, work.kind, work.batch, work.target, work.listen)
            command = [sys.executable, "-m", "poller", "run", "--config", str(path)]
        else:
            arguments = [endpoint.url, work.kind, str(work.shards), str(work.batch), work.target]
            command = [sys.executable, "-m", f"tests.benchmarks.peers.{name}", *arguments]
        with (Path(folder) / "log").open("w+") as log:
            environment = {**os.environ, **_ENVIRONMENT, **endpoint.environment}
            process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)
            try:
                yield process
                if process.poll() is not None:
                    log.seek(0)
                    raise RuntimeError(f"{name} ended: {log.read()[-2000:]}")
            finally:
                for pid in _family(process):
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                process.kill()  # where there is no /proc
                process.wait()


def cost(name: str, work: Work, *, seconds: float, tls: Certificates | None = None) -> Cost:
    """What ``name`` costs in its stride, after its first polls."""
    endpoint = Endpoint(work, tls)
    try:
        with running(name, work, endpoint) as process:
            stride = _STRIDES.get(name, Stride())
            _wait_for_polls(endpoint, process, stride.polls * work.shards, stride.seconds_max)
            before, cpu_before, started = endpoint.counts(), _cpu_seconds(process), time.monotonic()
            time.sleep(seconds)
            after, cpu_after, ended = endpoint.counts(), _cpu_seconds(process), time.monotonic()
            resident, peak = _memory_bytes(process, "VmRSS"), _memory_bytes(process, "VmHWM")
        return Cost(
            ended - started,
            cpu_after - cpu_before,
            after["records"] - before["records"],
            after["polls"] - before["polls"],
            after["invocations"] - before["invocations"],
            resident,
            peak,
            tuple(sorted(after["gaps"])),
        )
    finally:
        endpoint.stop()


def _wait_for_polls(endpoint: Endpoint, process: subprocess.Popen, polls: int, seconds_max: float) -> None:
    deadline = time.monotonic() + seconds_max
    while endpoint.counts()["polls"] < polls:
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("it does not begin to poll")
        time.sleep(0.1)


def _family(process: subprocess.Popen) -> dict[int, list[str]]:
    """It and what it has started, by number, each with its line in the kernel's accounts.

    What a peer starts in a session of its own is not its own work.
    """
    lines = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended meanwhile
            lines[int(path.parent.name)] = path.read_text().rpartition(")")[2].split()
    family = [process.pid] if process.pid in lines else []
    for member in family:  # which grows
        family += [pid for pid, line in lines.items() if int(line[1]) == member and line[3] == lines[process.pid][3]]
    return {pid: lines[pid] for pid in family}


def _cpu_seconds(process: subprocess.Popen) -> float:
    """Of all threads of its family, as the kernel counts them, and of those in it that have ended."""
    ticks = sum(sum(map(int, line[11:15])) for line in _family(process).values())
    return ticks / os.sysconf("SC_CLK_TCK")


def _memory_bytes(process: subprocess.Popen, name: str) -> int:
    total = 0
    for pid in _family(process):
        with suppress(OSError, IndexError):  # IndexError: it has ended, and nobody has asked how
            status = Path(f"/proc/{pid}/status").read_text()
            total += 1024 * int(status.partition(f"{name}:")[2].split()[0])
    return total
