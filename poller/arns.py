"""What an address names: this file is the forms of the ARNs and URLs that a mapping may hold."""

from __future__ import annotations

import re
from enum import StrEnum


class SourceKind(StrEnum):
    """What an event source ARN names; a table is recognised only to be refused with good advice."""

    KINESIS_STREAM = "kinesis stream"
    KINESIS_CONSUMER = "kinesis consumer"
    DYNAMODB_STREAM = "dynamodb stream"
    DYNAMODB_TABLE = "dynamodb table"


class DestinationKind(StrEnum):
    """Where failures may go; the last two are beyond Lambda (R-DEST-1)."""

    SQS = "sqs"
    SNS = "sns"
    S3 = "s3"
    FILE = "file"
    HTTP = "http"


_KINESIS = r"arn:aws[a-z0-9-]*:kinesis:[a-z0-9-]+:[0-9]{12}:stream/[a-zA-Z0-9_.-]{1,128}"
_TABLE = r"arn:aws[a-z0-9-]*:dynamodb:[a-z0-9-]+:[0-9]{12}:table/[a-zA-Z0-9_.-]{3,255}"
_SOURCES = {
    SourceKind.KINESIS_STREAM: re.compile(_KINESIS),
    SourceKind.KINESIS_CONSUMER: re.compile(_KINESIS + r"/consumer/[a-zA-Z0-9_.-]+:[0-9]+"),
    SourceKind.DYNAMODB_STREAM: re.compile(_TABLE + r"/stream/[^/\s]+"),
    SourceKind.DYNAMODB_TABLE: re.compile(_TABLE),
}
_DESTINATIONS = {
    DestinationKind.SQS: re.compile(r"arn:aws[a-z0-9-]*:sqs:[a-z0-9-]+:[0-9]{12}:[a-zA-Z0-9_-]{1,80}"),
    DestinationKind.SNS: re.compile(r"arn:aws[a-z0-9-]*:sns:[a-z0-9-]+:[0-9]{12}:[a-zA-Z0-9_-]{1,256}"),
    DestinationKind.S3: re.compile(r"arn:aws[a-z0-9-]*:s3:::[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"),
    DestinationKind.FILE: re.compile(r"file:///(?!\S*%00)[^\s?#]*[^\s?#/]"),
    DestinationKind.HTTP: re.compile(
        r"https?://(?:[^\s/?#]*@)?(?:[^\s/?#@:\[\]]+|\[[0-9a-fA-F:.]+\])(?::[0-9]{1,5})?(?:[/?#]\S*)?"
    ),
}
_URL = re.compile(r"(?P<scheme>([^/?#]*://)?)(?P<host>[^/?#]*)(?P<rest>.*)", re.DOTALL)
_FUNCTION = re.compile(
    r"(?:arn:(?P<partition>aws[a-zA-Z-]*)?:lambda:)?"
    r"(?:(?P<region>[a-z]+(?:-[a-z]+)+-[0-9]):(?=[0-9]{12}:|function:))?"  # else it is a name, as order-handler-1:live
    r"(?:(?P<account>[0-9]{12}):)?(?:function:)?(?P<name>.+)"
)


def source_kind(arn: str) -> SourceKind | None:
    """What ``arn`` names, or ``None`` if it is no ARN of a stream, consumer or table."""
    return next((kind for kind, pattern in _SOURCES.items() if pattern.fullmatch(arn)), None)


def source_name(arn: str) -> str:
    """The name of the stream or table in ``arn``, which `source_kind` recognises."""
    return arn.split("/")[1]


def stream_arn(arn: str) -> str:
    """The Kinesis stream of a consumer's ARN; any other ARN as it is."""
    return arn.partition("/consumer/")[0]


def destination_kind(destination: str) -> DestinationKind | None:
    """What ``destination`` names, or ``None`` if failures cannot go there (R-DEST-1, R-VAL-16)."""
    return next((kind for kind, pattern in _DESTINATIONS.items() if pattern.fullmatch(destination)), None)


def url_host(url: str) -> str:
    """What a message tells of a URL, whose other parts may hold a secret."""
    parts = _URL.match(url)
    assert parts is not None, "it matches any text"
    return parts["host"].rpartition("@")[2]


def shown(place: str) -> str:
    """A destination, or a function's URL, for people: an ARN or a file as it is, of a URL scheme and host alone.

    It may be a URL that was misspelt. Where it is not clear what is the host, that is not told either.
    """
    if place.startswith(("arn:", "file:")):
        return place
    url = _URL.match(place)
    assert url is not None, "it matches any text"
    start = url["scheme"] + ("" if "@" in url["rest"] else url_host(place))
    return start if start == place else f"{start}/..."


def lambda_arn(function_name: str, source_arn: str, *, region: str | None = None, account: str | None = None) -> str:
    """The whole ARN of the function that a name, partial ARN or ARN means, its qualifier as it is (R-API-13).

    What ``function_name`` does not say itself is ``region`` and ``account``, where they are given, else the stream's.
    """
    said = _FUNCTION.fullmatch(function_name)
    assert said is not None, "a checked mapping names a function"
    _, partition, _, of_stream, owner, *_ = source_arn.split(":")
    region, account = said["region"] or region or of_stream, said["account"] or account or owner
    place = (said["partition"] or partition, "lambda", region, account)
    return f"arn:{':'.join(place)}:function:{said['name']}"
