"""An AWS for the contracts of what lives there: this file is its server and its words for credentials."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.servers import moto_server


@pytest.fixture
def aws_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any words do as credentials, and none of the user's own may be used."""
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")


@pytest.fixture(scope="session")
def moto_endpoint() -> Iterator[str]:
    """Names are shared by all tests of a run: give each test's a name of its own."""
    with moto_server() as url:
        yield url
