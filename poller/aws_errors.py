"""What AWS and its SDK say went wrong: this file is the one place that knows their error codes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
)
from botocore.parsers import ResponseParserError

from poller.errors import PositionLost, SourceGone, Unavailable

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
