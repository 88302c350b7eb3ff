"""The stream of a run and who writes it: this file starts the stream's server, and puts records into it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from random import Random

from tests.integration.servers import free_ports
from tests.processes.lives import REPOSITORY

KEYS = 60


class StreamServer:
    """The process of `tests.processes.server`, always at the same port."""

    def __init__(self, folder: Path, *, shards: int, retention_seconds: float) -> None:
        (self.port,) = free_ports(1)
        self._folder = folder
        self._settings = ["--shards", str(shards), "--retention", str(retention_seconds)]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when it answers."""
        command = [sys.executable, "-m", "tests.processes.server", "--port", str(self.port)]
        command += ["--journal", str(self._folder / "stream.jsonl"), *self._settings]
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(command, cwd=REPOSITORY, stderr=log, start_new_session=True)
        deadline = time.monotonic() + 30
        while True:
            try:
                self.ask("ListShards")
            except (OSError, HTTPException):
                assert self._process.poll() is None, (self._folder / "server.log").read_text()[-2000:]
                assert time.monotonic() < deadline, "the stream's server does not answer"
                time.sleep(0.05)
            else:
                return

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def ask(self, operation: str, **question: object) -> dict:
        """One call. Raises `OSError` or `HTTPException` if there is no answer."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            headers = {"X-Amz-Target": f"Kinesis_20131202.{operation}"}
            connection.request("POST", "/", json.dumps(question).encode(), headers)
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            return json.loads(answer.read())
        finally:
            connection.close()

    def open_shards(self) -> list[dict]:
        """By their hashes."""
        shards = self.ask("ListShards")["Shards"]
        still = [each for each in shards if "EndingSequenceNumber" not in each["SequenceNumberRange"]]
        return sorted(still, key=lambda each: int(each["HashKeyRange"]["StartingHashKey"]))

    def reshard(self, random: Random) -> None:
        """Splits or merges; there are two to eight open shards."""
        still = self.open_shards()
        if len(still) < 3 or (len(still) < 8 and random.random() < 0.5):
            self.ask("SplitShard", ShardToSplit=random.choice(still)["ShardId"])
        else:
            one = random.randrange(len(still) - 1)
            ids = [each["ShardId"] for each in still]
            self.ask("MergeShards", ShardToMerge=ids[one], AdjacentShardToMerge=ids[one + 1])


class Producer(threading.Thread):
    """Puts records of random keys, so many a second; what gets no answer may be in the stream all the same."""

    def __init__(self, server: StreamServer, per_second: float) -> None:
        super().__init__(daemon=True)
        self._server = server
        self._per_second = per_second
        self._ended = threading.Event()
        self._random = Random(7)
        self.put = 0
        self.failed = 0

    def run(self) -> None:
        started = time.monotonic()
        due = 0
        while not self._ended.wait(0.05):
            want = int((time.monotonic() - started) * self._per_second) - due
            if want < 1:
                continue
            due += want
            keys = [f"k-{self._random.randrange(KEYS) * (1000 // KEYS)}" for _ in range(min(want, 500))]
            try:
                self._server.ask("PutRecords", Records=[{"PartitionKey": key} for key in keys])
            except (OSError, HTTPException):
                self.failed += len(keys)
            else:
                self.put += len(keys)

    def end(self) -> None:
        self._ended.set()
        self.join()
