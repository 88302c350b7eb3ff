"""One life of one worker: this file starts the process, ends it in all the ways there are, and reads its log."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent.parent
DRAIN_SECONDS = 10.0

AWS_WORDS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    "AWS_EC2_METADATA_DISABLED": "true",
}


class Life:
    """A worker process named ``name``, which begins at once; its log and its configuration lie in ``folder``."""

    def __init__(
        self,
        name: str,
        folder: Path,
        config: str,
        environment: Mapping[str, str],
        *,
        through_pipes: bool = False,
    ) -> None:
        self.name = name
        self.log_path = folder / f"{name}.log"
        path = folder / f"{name}.toml"
        path.write_text(config)
        own = {"HISTORY_LIFE": name, "PYTHONPATH": str(REPOSITORY)}
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
        self._through: list[subprocess.Popen[bytes]] = []
        environment = {**inherited, **AWS_WORDS, **environment, **own}
        if through_pipes:  # a limit of the process is then none for what it tells
            handed = [self._pipe(self.log_path), self._pipe(Path(environment["HISTORY_FILE"]))]
            environment["HISTORY_FILE"] = f"/dev/fd/{handed[-1]}"
        else:
            handed = [os.open(self.log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.processes.worker", "run", "--config", str(path)],
            cwd=folder,
            env=environment,
            stderr=handed[0],
            pass_fds=handed[1:],
            start_new_session=True,
        )
        self.started_at = time.time()
        for each in handed:
            os.close(each)

    def _pipe(self, path: Path) -> int:
        reads, writes = os.pipe()
        with path.open("ab") as file:
            self._through.append(subprocess.Popen(["cat"], stdin=reads, stdout=file, start_new_session=True))
        os.close(reads)
        return writes

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    @property
    def killed(self) -> bool:
        """Whether it ended as `kill -9` ends."""
        return self.process.poll() == -signal.SIGKILL

    def kill(self) -> None:
        """As the kernel or a node's end would."""
        with suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()
        for each in self._through:
            each.wait()

    def pause(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    @property
    def asleep(self) -> bool:
        """Whether it is paused, by whomever."""
        try:
            said = Path(f"/proc/{self.process.pid}/stat").read_text()
        except OSError:
            return False
        return said.rpartition(")")[2].split()[0] == "T"

    def ask_to_stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def exit_code(self, within_seconds: float = DRAIN_SECONDS + 10.0) -> int:
        """Waits for the end. Raises `subprocess.TimeoutExpired`."""
        code = self.process.wait(within_seconds)
        for each in self._through:
            each.wait(within_seconds)
        return code

    def log(self) -> Iterator[dict]:
        """What it logged; a line that a kill cut off is no line. ``at`` is epoch seconds."""
        for line in self.log_path.read_text(errors="replace").splitlines():
            if line.startswith("{") and line.endswith("}"):
                said = json.loads(line)
                said["at"] = datetime.fromisoformat(said["timestamp"]).timestamp()
                yield said

    def said(self, text: str) -> bool:
        """Whether the log holds ``text``."""
        return text in self.log_path.read_text(errors="replace")

    def wait_until_it_says(self, text: str, within_seconds: float = 30.0) -> None:
        deadline = time.monotonic() + within_seconds
        while not self.said(text):
            assert time.monotonic() < deadline, f"{self.name} never said {text!r}:\n{self.tail()}"
            assert self.alive or self.said(text), f"{self.name} ended, and never said {text!r}:\n{self.tail()}"
            time.sleep(0.05)

    def tail(self) -> str:
        return self.log_path.read_text(errors="replace")[-3000:]
