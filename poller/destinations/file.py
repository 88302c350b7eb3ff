"""A file as the place for failures: this file is how a line of JSON gets to its end whole, and stays there."""

from __future__ import annotations

import fcntl
import os
from urllib.parse import unquote_to_bytes

import anyio
import anyio.to_thread

from poller.arns import DestinationKind
from poller.errors import SourceGone, Unavailable
from poller.invocation import FailureReport
from poller.rules.failure_document import failure_document


class FileDestination:
    """The file of the URL ``destination``, ``file:///path.jsonl``; see `poller.ports.Destination`.

    A report is one line, payload included, and on the disk when it is accepted. Any number of writers and processes
    may share the file, on one host. Its directory must exist.
    """

    kind = DestinationKind.FILE

    def __init__(self, destination: str) -> None:
        self._path = os.fsdecode(unquote_to_bytes(destination.removeprefix("file://")))
        # A disk that hangs costs one thread, not one for each report.
        self._one_at_a_time = anyio.CapacityLimiter(1)

    async def send(self, report: FailureReport) -> None:
        line = failure_document(report, with_payload=True) + b"\n"
        try:
            await anyio.to_thread.run_sync(
                _append, self._path, line, abandon_on_cancel=True, limiter=self._one_at_a_time
            )
        except (FileNotFoundError, NotADirectoryError) as error:
            directory = os.path.dirname(self._path)
            raise SourceGone(f"could not write to {self._path}: there is no directory {directory}; make it") from error
        except (PermissionError, IsADirectoryError, ValueError) as error:  # a ValueError is a NUL in the path
            raise SourceGone(f"could not write to {self._path}: {error}") from error
        except OSError as error:
            raise Unavailable(f"could not write to {self._path}: {error}") from error

    async def aclose(self) -> None:
        """Nothing to do: the file is open only while it is written to."""


def _append(path: str, line: bytes) -> None:
    """Raises `OSError` unless all of ``line`` is on the disk."""
    with open(path, "a+b", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        end = file.seek(0, os.SEEK_END)
        if end and os.pread(file.fileno(), 1, end - 1) != b"\n":
            line = b"\n" + line  # a full disk or a kill cut the line before; it must not take this one with it
        written = file.write(line)
        if written != len(line):
            raise OSError(f"only {written} of {len(line)} bytes were written")
        os.fsync(file.fileno())
