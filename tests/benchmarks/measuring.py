"""What a program costs while it works: this file runs it against a canned endpoint, and reads the kernel's accounts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.worker import configured

ROOT = Path(__file__).resolve().parents[2]
_ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true"}
_START_SECONDS_MAX = 60.0


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be done: ``size`` bytes a record, ``records`` a page, batches of ``batch`` to ``target``."""

    kind: str = "kinesis"
    shards: int = 1
    pages: int = 1_000_000
    records: int = 1000
    size: int = 1024
    batch: int = 1000
    target: str = "invoke"
    tls: bool = False


@dataclass(frozen=True, slots=True)
class Cost:
    """What was done in so many seconds, and what it took."""

    seconds: float
    cpu_seconds: float
    records: int
    polls: int
    invocations: int
    peak_bytes: int

    @property
    def per_cpu_second(self) -> float:
        return self.records / self.cpu_seconds


class Endpoint:
    """A canned endpoint; ``url`` is where it is."""

    def __init__(self, work: Work, certificate: Path | None = None) -> None:
        load = {"kind": work.kind, "shards": work.shards, "pages": work.pages, "records": work.records}
        options = [f"--{name}={value}" for name, value in {**load, "size": work.size}.items()]
        options += [f"--certificate={certificate}"] if certificate else []
        command = [sys.executable, "-m", "tests.benchmarks.canned", *options]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{int(self._process.stdout.readline())}"

    def counts(self) -> dict[str, int]:
        with urllib.request.urlopen(f"{self.url}/counts") as answer:
            return json.load(answer)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


@contextmanager
def running(name: str, work: Work, endpoint: Endpoint) -> Iterator[subprocess.Popen]:
    """The process of a peer, or of the worker itself by the name ``poller``."""
    with tempfile.TemporaryDirectory() as folder:
        if name == "poller":
            path = configured(Path(folder), endpoint.url, work.kind, work.batch, work.target)
            command = [sys.executable, "-m", "poller", "run", "--config", str(path)]
        else:
            arguments = [endpoint.url, work.kind, str(work.shards), str(work.batch), work.target]
            command = [sys.executable, "-m", f"tests.benchmarks.peers.{name}", *arguments]
        with (Path(folder) / "log").open("w+") as log:
            process = subprocess.Popen(
                command, cwd=ROOT, env={**os.environ, **_ENVIRONMENT}, stdout=log, stderr=subprocess.STDOUT
            )
            try:
                yield process
                if process.poll() is not None:
                    log.seek(0)
                    raise RuntimeError(f"{name} ended: {log.read()[-2000:]}")
            finally:
                process.kill()
                process.wait()


def cost(name: str, work: Work, *, seconds: float, certificate: Path | None = None) -> Cost:
    """What ``name`` costs in its stride, after its first polls."""
    endpoint = Endpoint(work, certificate)
    try:
        with running(name, work, endpoint) as process:
            _wait_for_polls(endpoint, process, 3 * work.shards)
            before, cpu_before, started = endpoint.counts(), _cpu_seconds(process), time.monotonic()
            time.sleep(seconds)
            after, cpu_after, ended = endpoint.counts(), _cpu_seconds(process), time.monotonic()
            peak = _peak_bytes(process)
        did = {each: after[each] - before[each] for each in after}
        return Cost(ended - started, cpu_after - cpu_before, did["records"], did["polls"], did["invocations"], peak)
    finally:
        endpoint.stop()


def _wait_for_polls(endpoint: Endpoint, process: subprocess.Popen, polls: int) -> None:
    deadline = time.monotonic() + _START_SECONDS_MAX
    while endpoint.counts()["polls"] < polls:
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("it does not begin to poll")
        time.sleep(0.1)


def _cpu_seconds(process: subprocess.Popen) -> float:
    """Of all its threads, as the kernel counts them."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak_bytes(process: subprocess.Popen) -> int:
    status = Path(f"/proc/{process.pid}/status").read_text()
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])
