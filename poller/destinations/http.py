"""An HTTP endpoint as the place for failures: this file is the POST of a document and what counts as accepted."""

from __future__ import annotations

import io

import aiohttp

from poller.arns import DestinationKind, url_host
from poller.errors import Unavailable
from poller.http_errors import told
from poller.invocation import FailureReport
from poller.rules.failure_document import failure_document

SECONDS_MAX = 30.0
"""For the whole exchange."""

_CONNECT_SECONDS_MAX = 5.0


class HttpDestination:
    """Posts documents, payload included, to the URL ``destination``; see `poller.ports.Destination`.

    Only an answer of 2xx accepts; a redirect is not followed. Failures are rare, so that each has a connection of its
    own: none is ever found closed by the other side.
    """

    kind = DestinationKind.HTTP

    def __init__(self, destination: str) -> None:
        self._url = destination
        self._host = url_host(destination)

    async def send(self, report: FailureReport) -> None:
        document = failure_document(report, with_payload=True)
        timeout = aiohttp.ClientTimeout(total=SECONDS_MAX, sock_connect=_CONNECT_SECONDS_MAX)
        headers = {"Content-Type": "application/json"}
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.post(self._url, data=io.BytesIO(document), headers=headers, allow_redirects=False) as answer,
            ):
                status = answer.status
        except TimeoutError as error:
            raise Unavailable(f"{self._host} did not take a failure in time") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Unavailable(f"could not post a failure to {self._host}: {told(error)}") from error
        if not 200 <= status < 300:
            raise Unavailable(f"{self._host} did not accept a failure: HTTP {status}")

    async def aclose(self) -> None:
        """Nothing to do: no connection outlives a report."""
