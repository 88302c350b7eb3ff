"""Servers that all integration tests of a run share: this file is their fixtures."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.kinesis_world import BATCH, CONFIG
from tests.integration.process import WorkerProcess
from tests.integration.servers import Kinesis, kinesis_local, ministack, moto_server


@pytest.fixture(autouse=True)
def aws_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any words do as credentials, and none of the user's own may be used."""
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")


@pytest.fixture(scope="session")
def kinesis_server() -> Iterator[Kinesis]:
    """Kinesis as AWS has it, resharding included. Streams are shared: give each test's a name of its own."""
    with kinesis_local() as server:
        yield server


@pytest.fixture(scope="session")
def kinesis_endpoint(kinesis_server: Kinesis) -> str:
    """The same without TLS."""
    return kinesis_server.plain


@pytest.fixture(scope="session")
def ministack_endpoint() -> Iterator[str]:
    """Kinesis whose consumers are served as AWS serves them. Names are shared, as above."""
    with ministack() as url:
        yield url


@pytest.fixture(scope="session")
def moto_endpoint() -> Iterator[str]:
    """Kinesis, DynamoDB and its streams, without resharding of either. Names are shared, as above."""
    with moto_server() as url:
        yield url


@pytest.fixture
def worker(tmp_path):
    """Makes workers that have not started yet; what still runs when the test ends is ended."""
    made = []

    def make(**settings):
        behaviour = {name: settings.pop(name, 0.0) for name in ("failures", "seconds")}
        config = CONFIG.format(**{"listen": "", "batch": BATCH, "more": "", **settings})
        made.append(WorkerProcess(tmp_path, config, **behaviour))
        return made[-1]

    yield make
    for each in made:
        each.end()
