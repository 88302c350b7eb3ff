"""Real servers on free loopback ports, each for the length of a ``with`` block: this file is how tests start them.

A server that this machine lacks skips the test with one line, or fails it where ``POLLER_REQUIRE_SERVERS=1`` says that
all of them must be there.
"""

from __future__ import annotations

import http.client
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest
import trustme

_START_SECONDS = 60.0
_STOP_SECONDS = 5.0
_REPOSITORY = Path(__file__).parent.parent.parent


@dataclass(frozen=True, slots=True)
class Kinesis:
    """The endpoint URLs of a Kinesis, the second one with TLS and HTTP/2; ``authority`` is the file to trust there."""

    plain: str
    tls: str
    authority: Path


@contextmanager
def kinesis_local() -> Iterator[Kinesis]:
    """A Kinesis of its own: the npm package ``kinesis-local``, run by Node.

    ``POLLER_KINESIS_LOCAL`` names the directory that holds its ``node_modules``; default: ``.ci``.
    """
    root = Path(os.environ.get("POLLER_KINESIS_LOCAL") or _REPOSITORY / ".ci")
    main, node = root / "node_modules" / "kinesis-local" / "main.js", shutil.which("node")
    if node is None:
        missing("Node is not installed, which kinesis-local needs")
    if not main.is_file():
        missing("kinesis-local is not installed (npm ci --prefix .ci)")
    plain, tls = free_ports(2)
    settings = {
        "SHARD_LIMIT": "200",
        "KINESIS_MOCK_PLAIN_PORT": str(plain),
        "KINESIS_MOCK_TLS_PORT": str(tls),
        "LOG_LEVEL": "WARN",
    }
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        authority = _certified(directory)
        with _running([node, str(main)], settings, plain, directory):
            yield Kinesis(f"http://127.0.0.1:{plain}", f"https://127.0.0.1:{tls}", authority)


def _certified(directory: Path) -> Path:
    """Puts a certificate where kinesis-local looks for it, its own being for no host, and gives the file to trust."""
    made = trustme.CA()
    server = made.issue_cert("127.0.0.1")
    chain = "".join(part.bytes().decode() for part in server.cert_chain_pems)
    pair = {"key": server.private_key_pem.bytes().decode(), "cert": chain}
    (directory / "server.json").write_text(json.dumps({"server": pair}))
    made.cert_pem.write_to_path(authority := directory / "authority.pem")
    return authority


@contextmanager
def ministack() -> Iterator[str]:
    """The endpoint URL of another AWS of its own: the package ``ministack``.

    It wants another botocore than the worker, hence ``POLLER_MINISTACK`` names a virtual environment of its own;
    default: ``.ci/ministack``.
    """
    root = Path(os.environ.get("POLLER_MINISTACK") or _REPOSITORY / ".ci" / "ministack")
    command = root / "bin" / "ministack"
    if not command.is_file():
        missing("ministack is not installed (see .ci/run)")
    (port,) = free_ports(1)
    with _running([str(command)], {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port)}, port):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def moto_server() -> Iterator[str]:
    """The endpoint URL of an AWS of its own: moto's server, in a process of its own."""
    if importlib.util.find_spec("moto") is None:
        missing("moto is not installed (the extra `dev`)")
    (port,) = free_ports(1)
    with _running([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], {}, port):
        yield f"http://127.0.0.1:{port}"


def missing(what: str) -> NoReturn:
    if os.environ.get("POLLER_REQUIRE_SERVERS") == "1":
        pytest.fail(f"a server is missing although POLLER_REQUIRE_SERVERS=1: {what}", pytrace=False)
    pytest.skip(what)


@contextmanager
def _running(
    command: Sequence[str], settings: Mapping[str, str], port: int, directory: Path | None = None
) -> Iterator[None]:
    """Runs ``command`` in a process group of its own, from when it answers on ``port`` until the block ends."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command,
            cwd=directory,
            env={**os.environ, **settings},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            if not _answers(process, port):
                output.seek(0)
                said = output.read()[-4000:].decode(errors="replace")
                pytest.fail(f"{command[0]} did not answer in {_START_SECONDS:g} s; it said:\n{said}", pytrace=False)
            yield
        finally:
            _end(process)


def _answers(process: subprocess.Popen[bytes], port: int) -> bool:
    """Whether the server gives any HTTP answer, before it ends or the time is over."""
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        with suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/")
            connection.getresponse().read()
            return True
        connection.close()
        time.sleep(0.05)  # between two looks at the port; no test's result hangs on it
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends the whole process group, so that nothing outlives the tests."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
            return


def free_ports(count: int) -> list[int]:
    """Ports of the loopback that are free now; held together, so that they differ."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [int(each.getsockname()[1]) for each in held]
    finally:
        for each in held:
            each.close()
