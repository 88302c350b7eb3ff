"""The door to AWS: this file is the one place that makes clients."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AsyncExitStack, closing
from typing import Any

import anyio
from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.session import AioSession
from botocore.exceptions import NoCredentialsError

from poller import __version__
from poller.aws_errors import translated
from poller.connections import Connections
from poller.keepalive import kept_alive

_RAW_ANSWERS = frozenset({"kinesis", "dynamodbstreams"})
"""Services whose numbers and base64 text are kept as they came, which is just what an event carries (R-EVT-15)."""

_Key = tuple[str, str | None, float]
"""What clients differ in: service, region, and patience in seconds."""

_UNUSED_SECONDS_MAX = 12.0
"""How long a connection is kept for another call; the SDK's own default, which our sockets would replace."""


class Aws:
    """Clients of one AWS account, one per service, region and read time-out; close it when all is done.

    The SDK's environment, profiles and roles apply. ``endpoint_url`` is for all services, ``endpoint_urls`` for
    single ones (by the SDK's names, as ``kinesis``), and wins. ``http_session_cls`` replaces the network in tests.
    """

    def __init__(
        self,
        *,
        region: str | None = None,
        endpoint_url: str | None = None,
        endpoint_urls: Mapping[str, str] | None = None,
        http_session_cls: type = AIOHTTPSession,
    ) -> None:
        self._region = region
        self._endpoint_url = endpoint_url
        self._endpoint_urls = dict(endpoint_urls or {})
        self._http_session_cls = http_session_cls
        self._session: Any = AioSession()
        self._raw_session = _raw_session(self._session)
        self._clients: dict[_Key, Any] = {}
        self._connections: dict[_Key, Any] = {}
        self._creating = anyio.Lock()
        self._open = AsyncExitStack()

    async def client(self, service: str, region: str | None = None, read_timeout_seconds: float = 30.0) -> Any:
        """The aiobotocore client of a service, the same one each time.

        It never retries: backoff is the caller's, so that throttles are seen and counted. Raises `SourceGone`
        without a region, profile or credentials, `Unavailable` if it cannot be made for now.
        """
        key = (service, region or self._region, read_timeout_seconds)
        async with self._creating:
            if key not in self._clients:
                with translated(f"make a client for {service}"):
                    session = self._raw_session if service in _RAW_ANSWERS else self._session
                    if await session.get_credentials() is None:
                        raise NoCredentialsError  # the client would never look for them again
                    self._clients[key] = await self._open.enter_async_context(self._create(session, key))
            return self._clients[key]

    async def connections(self, service: str, region: str | None = None, read_timeout_seconds: float = 30.0) -> Any:
        """What sends the requests of calls that are made beside a client, as its HTTP session. Raises as `client`."""
        key = (service, region or self._region, read_timeout_seconds)
        if key not in self._connections:
            await self.client(*key)
        return self._connections[key]

    async def credentials(self) -> Any:
        """The SDK's own credentials as they are now, renewed if need be; raises `SourceGone` if there are none."""
        with translated("get credentials"):
            found = await self._raw_session.get_credentials()
            if found is None:
                raise NoCredentialsError
            return await found.get_frozen_credentials()

    @property
    def ca_bundle(self) -> str | None:
        """The file of certificates that the SDK was told to trust instead of the usual ones."""
        configured = self._raw_session.get_config_variable("ca_bundle")
        return configured or os.environ.get("REQUESTS_CA_BUNDLE") or None

    async def aclose(self) -> None:
        self._clients.clear()
        self._connections.clear()
        await self._open.aclose()

    def _create(self, session: Any, key: _Key) -> Any:
        service, region, read_timeout_seconds = key
        config = AioConfig(
            connect_timeout=5,
            read_timeout=read_timeout_seconds,
            max_pool_connections=10_000,  # one for each lane of each shard, if need be
            retries={"total_max_attempts": 1, "mode": "standard"},
            connector_args={"keepalive_timeout": _UNUSED_SECONDS_MAX, "socket_factory": kept_alive},
            user_agent_extra=f"stream-poller/{__version__}",
            http_session_cls=self._kept(key),
        )
        endpoint_url = self._endpoint_urls.get(service, self._endpoint_url)
        return session.create_client(service, region_name=region, endpoint_url=endpoint_url, config=config)

    def _kept(self, key: _Key) -> type:
        """The class of a client's HTTP session; when one is opened, what stands in for it is made (`Connections`)."""
        connections, open_ = self._connections, self._open
        by_ourselves = self._http_session_cls is AIOHTTPSession

        class Kept(self._http_session_cls):  # type: ignore[misc, name-defined]
            def __init__(self, **options: Any) -> None:
                super().__init__(**options)
                self._options = options

            async def __aenter__(self) -> Any:
                opened = connections[key] = await super().__aenter__()
                if by_ourselves and not self._options["proxies"]:
                    connect_seconds, read_seconds = self._options["timeout"]
                    connections[key] = open_.enter_context(
                        closing(
                            Connections(
                                verify=self._options["verify"],
                                connect_seconds=connect_seconds,
                                read_seconds=read_seconds,
                                unused_seconds=_UNUSED_SECONDS_MAX,
                            )
                        )
                    )
                return opened

        return Kept


def _raw_session(session: Any) -> Any:
    """A session that keeps numbers and base64 as they came.

    Not the plain one, as that also parses the answers by which roles get their credentials, whose dates must be dates.
    """
    raw: Any = AioSession()
    raw.register_component("credential_provider", session.get_component("credential_provider"))
    factory = raw.get_component("response_parser_factory")
    factory.set_parser_defaults(timestamp_parser=as_it_came, blob_parser=as_it_came)
    return raw


def as_it_came(value: object) -> object:
    """How the SDK's parsers are to read numbers and base64 of `_RAW_ANSWERS`: not at all."""
    return value
