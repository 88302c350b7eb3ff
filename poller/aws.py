"""The door to AWS: this file is the one place that makes clients and that knows AWS's error codes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from typing import Any

import aiohttp
import anyio
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
)
from botocore.parsers import ResponseParserError

from poller import __version__
from poller.errors import PositionLost, SourceGone, Unavailable
from poller.keepalive import kept_alive

_RAW_ANSWERS = frozenset({"kinesis", "dynamodbstreams"})
"""Services whose numbers and base64 text are kept as they came, which is just what an event carries (R-EVT-15)."""

_THROTTLED = frozenset(
    {
        "BandwidthLimitExceeded",
        "KMS.ThrottlingException",
        "KMSThrottling",
        "KMSThrottlingException",
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "Throttling",
        "ThrottledException",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)

_NO_ACCESS = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "AuthorizationError",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "IncompleteSignatureException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSecurity",
        "InvalidSignatureException",
        "KMS.AccessDeniedException",
        "KMS.DisabledException",
        "KMS.InvalidStateException",
        "KMS.NotFoundException",
        "KMS.OptInRequired",
        "KMSAccessDenied",
        "KMSAccessDeniedException",
        "KMSDisabled",
        "KMSDisabledException",
        "KMSInvalidState",
        "KMSInvalidStateException",
        "KMSNotFound",
        "KMSNotFoundException",
        "KMSOptInRequired",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "NotAuthorized",
        "OptInRequired",
        "SignatureDoesNotMatch",
        "UnauthorizedOperation",
        "UnrecognizedClientException",
    }
)
"""What may not be read or written, or not be decrypted: both are loss of access (R-KIN-7, R-STATE-8)."""

_NOT_FOUND = frozenset(
    {
        "AWS.SimpleQueueService.NonExistentQueue",
        "NoSuchBucket",
        "NotFound",
        "QueueDoesNotExist",
        "ResourceNotFound",
        "ResourceNotFoundException",
    }
)
_EXPIRED = frozenset({"ExpiredIteratorException", "ExpiredNextTokenException"})
_BAD_ARGUMENT = frozenset({"InvalidArgumentException", "ValidationException", "ValidationError"})
_TRIMMED = frozenset({"TrimmedDataAccessException"})
_IN_USE = frozenset({"ResourceInUseException"})

_NOT_CONFIGURED = (NoCredentialsError, NoRegionError, PartialCredentialsError, ProfileNotFound)

_UNUSED_SECONDS_MAX = 12.0
"""How long a connection is kept for another call; the SDK's own default, which our sockets would replace."""

AWS_ERRORS = (
    ClientError,
    BotoCoreError,
    ResponseParserError,
    aiohttp.ClientError,
    OSError,  # TimeoutError among them
    LookupError,  # from here on: an answer of the wrong shape
    TypeError,
    ValueError,
    AttributeError,
    OverflowError,
    RecursionError,
)
"""All that a call may raise, the reading of its answer included; see `translate`."""


class Expired(Unavailable):
    """An iterator or a paging token is too old; a new one will do."""


class BadArgument(Unavailable):
    """The service does not accept a parameter, as an iterator of another life of an emulator."""


class InUse(Unavailable):
    """Another has what was asked for, as a subscription to a shard, which is open to one at a time."""


class NotFound(SourceGone):
    """There is no such stream, or no such shard in it: the service has one code for both; or no such destination."""


def error_code(error: Exception) -> str:
    """AWS's code for what went wrong, the SDK's class name where no service answered."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", ""))
    return type(error).__name__


def translate(error: Exception, doing: str) -> Exception:
    """The error of the house for one of `AWS_ERRORS`; errors are known by code, never by their text.

    ``doing`` is what was tried, as in "list the shards of orders". What is not known is `Unavailable`: the nearest
    loop backs off and tries again, so that no new code of a service can end a reader.
    """
    problem = f"could not {doing}: {_text(error)}"
    if isinstance(error, _NOT_CONFIGURED):
        return SourceGone(problem)
    if not isinstance(error, ClientError):
        return Unavailable(problem)
    code = error_code(error)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    if code in _THROTTLED or status == 429:
        return Unavailable(problem, throttled=True)
    if code in _NO_ACCESS:
        return SourceGone(problem, said=_message(error) or code)
    if code in _NOT_FOUND:
        return NotFound(problem, said=_message(error) or code)
    for codes, kind in (
        (_EXPIRED, Expired),
        (_BAD_ARGUMENT, BadArgument),
        (_IN_USE, InUse),
        (_TRIMMED, PositionLost),
    ):
        if code in codes:
            return kind(problem)
    return Unavailable(problem)


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Lets only errors of the house out of a call to AWS; see `translate`."""
    try:
        yield
    except AWS_ERRORS as error:
        raise translate(error, doing) from error


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
        http_session_cls: type | None = None,
    ) -> None:
        self._region = region
        self._endpoint_url = endpoint_url
        self._endpoint_urls = dict(endpoint_urls or {})
        self._http_session_cls = http_session_cls
        self._session: Any = AioSession()
        self._raw_session = _raw_session(self._session)
        self._clients: dict[tuple[str, str | None, float], Any] = {}
        self._creating = anyio.Lock()
        self._open = AsyncExitStack()

    async def client(self, service: str, region: str | None = None, read_timeout_seconds: float = 30.0) -> Any:
        """The aiobotocore client of a service, the same one each time.

        It never retries: backoff is the caller's, so that throttles are seen and counted. Raises `SourceGone`
        without a region or profile, `Unavailable` if it cannot be made for now.
        """
        key = (service, region or self._region, read_timeout_seconds)
        async with self._creating:
            if key not in self._clients:
                with translated(f"make a client for {service}"):
                    self._clients[key] = await self._open.enter_async_context(self._create(*key))
            return self._clients[key]

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
        await self._open.aclose()

    def _create(self, service: str, region: str | None, read_timeout_seconds: float) -> Any:
        session = self._raw_session if service in _RAW_ANSWERS else self._session
        plug = {"http_session_cls": self._http_session_cls} if self._http_session_cls else {}
        config = AioConfig(
            connect_timeout=5,
            read_timeout=read_timeout_seconds,
            max_pool_connections=10_000,  # one for each lane of each shard, if need be
            retries={"total_max_attempts": 1, "mode": "standard"},
            connector_args={"keepalive_timeout": _UNUSED_SECONDS_MAX, "socket_factory": kept_alive},
            user_agent_extra=f"stream-poller/{__version__}",
            **plug,
        )
        endpoint_url = self._endpoint_urls.get(service, self._endpoint_url)
        return session.create_client(service, region_name=region, endpoint_url=endpoint_url, config=config)


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


def _message(error: ClientError) -> str:
    """The service's own text."""
    return str(error.response.get("Error", {}).get("Message", ""))


def _text(error: Exception) -> str:
    match error:
        case ClientError():
            message = _message(error)
            return f"{error_code(error)}: {message}" if message else error_code(error)
        case NoCredentialsError() | PartialCredentialsError():
            return (
                f"{str(error).rstrip('.')}; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile or a role "
                "(an emulator takes any words)"
            )
        case NoRegionError():
            return "no AWS region is set; set AWS_REGION, or region under [aws]"
        case BotoCoreError() | aiohttp.ClientError() | OSError():
            return f"{type(error).__name__}: {error}"
        case _:
            return f"malformed answer: {type(error).__name__}: {error}"
