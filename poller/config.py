"""The configuration file, TOML, as one frozen value: this file is `Settings` and the way to load them.

All that is wrong is told at once, with file, line and key. See ``config_values.py`` for single values and
``config_mappings.py`` for the mappings.
"""

from __future__ import annotations

import re
import secrets
import socket
import tomllib
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from poller.config_lines import KeyPath, key_lines
from poller.config_mappings import KEY, read_mappings
from poller.config_server import ServerSettings, read_server
from poller.config_values import Complaints, Table, check_url, expanded, kind_name
from poller.errors import ConfigError
from poller.mapping import PAYLOAD_BYTES_MAX, EventSourceMapping

AWS_SERVICES = ("dynamodbstreams", "kinesis", "lambda", "s3", "sns", "sqs", "sts")
"""The services that may have an endpoint of their own, as the SDK names its clients."""

WAITING_MIB_MAX = 256

_SECTIONS = ("worker", "server", "aws", "store", "functions", KEY)
_HANDLER = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
_FUNCTION_NAME = re.compile(r"[a-zA-Z0-9_.-]{1,140}")
_TOML_PLACE = re.compile(r"\s*\(at (?:line (?P<line>\d+), column \d+|end of document)\)$")
_ROLE = re.compile(r"arn:aws[a-z0-9-]*:iam::[0-9]{12}:role/[\w+=,.@/-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """``id`` is the owner's name in leases; ``drain_timeout_seconds`` is how long a stop may take.

    ``waiting_mib_max``: with more MiB of records in memory, over all shards, a shard reads on when it is done only.
    """

    id: str
    drain_timeout_seconds: float = 25.0
    waiting_mib_max: int = WAITING_MIB_MAX


@dataclass(frozen=True, slots=True)
class AwsSettings:
    """What is set beyond the SDK's own environment and profiles.

    ``None`` leaves it to the SDK. A service's entry in ``endpoint_urls`` (keys: `AWS_SERVICES`) wins over
    ``endpoint_url``. ``invoke_identity_arn`` is the role that events name; ``None`` asks STS for it (R-EVT-4).
    """

    region: str | None
    endpoint_url: str | None
    endpoint_urls: Mapping[str, str]
    invoke_identity_arn: str | None = None


@dataclass(frozen=True, slots=True)
class FunctionSettings:
    """A function that is not an AWS Lambda function: exactly one of ``handler`` and ``url`` is set.

    ``handler`` is ``package.module:function``; ``url`` is http or https. Events are at most ``payload_bytes_max`` long.
    """

    name: str
    handler: str | None
    url: str | None
    timeout_seconds: float = 60.0
    payload_bytes_max: int = PAYLOAD_BYTES_MAX


@dataclass(frozen=True, slots=True)
class Settings:
    """All of one configuration file. ``server`` is ``None`` where ``listen = ""`` switched it off.

    ``notes`` are for people: what is not wrong, but hardly meant, each with file and line.
    """

    path: Path
    worker: WorkerSettings
    server: ServerSettings | None
    aws: AwsSettings
    store_url: str
    functions: Mapping[str, FunctionSettings]
    mappings: tuple[EventSourceMapping, ...]
    notes: tuple[str, ...] = ()


def store_path(url: str) -> Path | None:
    """The file of a checked store; ``None`` for one in memory."""
    return None if url == "memory:" else Path(url.removeprefix("sqlite:///"))


def load(path: Path, *, now: float, environ: Mapping[str, str]) -> Settings:
    """Reads the file at ``path``; placeholders take their values from ``environ``, ``now`` is epoch seconds.

    Raises `ConfigError` with every problem as ``FILE:LINE: key.path: what is wrong; what to do``, in order of lines.
    """
    text = _file_text(path)
    try:
        values, complaints = _understood(path, text, environ)
    except (ValueError, RecursionError) as error:
        raise ConfigError((_syntax_problem(path, text, error),)) from error
    document = Table(values, (), complaints, known=_SECTIONS)
    functions = _functions(document)
    settings = Settings(
        path=path,
        worker=_worker(_section(document, "worker", "id", "drain_timeout_seconds", "waiting_mib_max")),
        server=read_server(_section(document, "server", "listen", "shard_series_max")),
        aws=_aws(_section(document, "aws", "region", "endpoint_url", "endpoint_urls", "invoke_identity_arn")),
        store_url=_store_url(_section(document, "store", "url")),
        functions=functions,
        mappings=tuple(_fitted(mapping, functions) for mapping in read_mappings(document, now=now)),
    )
    problems = complaints.texts()
    if problems:
        raise ConfigError(problems)
    return replace(settings, notes=complaints.notes())


def _file_text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError((f"{path}: cannot be read: {error.strerror}; name the file with --config FILE",)) from error
    try:
        return content.decode("utf-8-sig")  # some editors begin a file with a mark of their own
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError((f"{path}:{line}: not UTF-8 text; save the file as UTF-8",)) from error


def _understood(path: Path, text: str, environ: Mapping[str, str]) -> tuple[Mapping[str, object], Complaints]:
    """The values with their placeholders filled in. Raises `ValueError` or `RecursionError` if it is no TOML for us."""
    raw = tomllib.loads(text)
    complaints = Complaints(path, key_lines(text))
    values = expanded(raw, (), complaints, environ)
    assert isinstance(values, dict)
    return values, complaints


def _syntax_problem(path: Path, text: str, error: ValueError | RecursionError) -> str:
    place = _TOML_PLACE.search(str(error))
    match error:
        case tomllib.TOMLDecodeError():
            message = _TOML_PLACE.sub("", str(error))
        case RecursionError():
            message = "nested too deeply"
        case _:
            message = "a number is too long"
    line = place["line"] if place and place["line"] else str(_last_line_needed(path, text, error))
    return f"{path}:{line}: not valid TOML: {message}; see https://toml.io"


def _last_line_needed(path: Path, text: str, error: ValueError | RecursionError) -> int:
    """How many lines from the first on go wrong in just this way, where `tomllib` does not tell."""
    lines = text.removesuffix("\n").split("\n")
    if isinstance(error, tomllib.TOMLDecodeError):
        return len(lines)

    def fails(count: int) -> int:
        try:
            _understood(path, "\n".join(lines[:count]), {})
        except (ValueError, RecursionError) as other:
            return int(type(other) is type(error))
        return 0

    return 1 + bisect_left(range(1, len(lines)), 1, key=fails)


def _section(document: Table, key: str, *known: str) -> Table:
    return Table(document.table(key), (*document.path, key), document.complaints, known=known)


def _worker(table: Table) -> WorkerSettings:
    given = table.text("id")
    if given is not None and not (given.strip() and given.isprintable()):
        table.complain("id", "must be a readable text", "give a name that no other worker has, or leave it out")
    waiting_mib_max = table.integer("waiting_mib_max", WAITING_MIB_MAX)
    if waiting_mib_max < 1:
        table.complain("waiting_mib_max", f"{waiting_mib_max} is out of range", "give 1 or more")
    return WorkerSettings(
        id=given or f"{socket.gethostname()}-{secrets.token_hex(3)}",
        drain_timeout_seconds=table.seconds("drain_timeout_seconds", 25.0, above=0.0),
        waiting_mib_max=waiting_mib_max,
    )


def _aws(table: Table) -> AwsSettings:
    # Empty means not set here, so that "${AWS_ENDPOINT_URL:-}" works with and without the variable.
    url = table.text("endpoint_url") or None
    if url is not None:
        check_url(table, "endpoint_url", url)
    services = Table(table.table("endpoint_urls"), (*table.path, "endpoint_urls"), table.complaints, known=AWS_SERVICES)
    urls: dict[str, str] = {}
    for service in AWS_SERVICES:
        service_url = services.text(service)
        if service_url is not None:
            check_url(services, service, service_url)
            urls[service] = service_url
    return AwsSettings(
        region=table.text("region") or None,
        endpoint_url=url,
        endpoint_urls=urls,
        invoke_identity_arn=_role(table, "invoke_identity_arn"),
    )


def _role(table: Table, key: str) -> str | None:
    given = table.text(key) or None
    if given is not None and not _ROLE.fullmatch(given):
        table.complain(key, f"{given!r} is not the ARN of a role", 'write "arn:aws:iam::123456789012:role/name"')
    return given


def _store_url(table: Table) -> str:
    url = table.text("url")
    if url is None:
        return "sqlite:///poller.db"
    advice = 'write "sqlite:///poller.db" (a path follows the three slashes) or "memory:"'
    scheme, path = url.partition(":")[0], url.removeprefix("sqlite:///")
    if url != "memory:" and scheme != "sqlite":
        table.complain("url", f"a store of this kind ({scheme!r}) is not supported by this version", advice)
    elif url != "memory:" and (path in ("", url, ":memory:") or "\0" in path):
        table.complain("url", f"{url!r} names no file", advice)
    return url


def _functions(document: Table) -> Mapping[str, FunctionSettings]:
    functions: dict[str, FunctionSettings] = {}
    for name, values in document.table("functions").items():
        path: KeyPath = (*document.path, "functions", name)
        if not isinstance(values, dict):
            document.complaints.add(path, f"must be a table, not {kind_name(values)}", "write [functions.NAME]")
        elif not _FUNCTION_NAME.fullmatch(name):
            wrong = "a function's name is made of letters, digits, '-', '_' and '.'"
            document.complaints.add(path, wrong, "choose another name")
        else:
            known = ("handler", "url", "timeout_seconds", "payload_bytes_max")
            functions[name] = _function(name, Table(values, path, document.complaints, known=known))
    return functions


def _function(name: str, table: Table) -> FunctionSettings:
    handler, url = table.text("handler"), table.text("url")
    ways = [key for key in ("handler", "url") if table.has(key) or table.complaints.touch((*table.path, key))]
    if len(ways) == 2:
        table.complain("url", "both handler and url are given", "keep the one that is meant")
    elif not ways:
        advice = 'add handler = "package.module:function" or url = "https://..."'
        table.complaints.add(table.path, "neither handler nor url is given", advice)
    if handler is not None and not _HANDLER.fullmatch(handler):
        table.complain("handler", f"{handler!r} does not name a function", 'write "package.module:function"')
    if url is not None:
        check_url(table, "url", url)
    return FunctionSettings(
        name,
        handler,
        url,
        timeout_seconds=table.seconds("timeout_seconds", 60.0, above=0.001),
        payload_bytes_max=_payload_bytes_max(table),
    )


def _payload_bytes_max(table: Table) -> int:
    key, most = "payload_bytes_max", 2**30
    given = table.integer(key, PAYLOAD_BYTES_MAX)
    if not 1_000 <= given <= most:
        table.complain(key, f"{given} is out of range", f"give 1000 to {most} bytes")
    return given


def _fitted(mapping: EventSourceMapping, functions: Mapping[str, FunctionSettings]) -> EventSourceMapping:
    """The mapping with its function's own payload limit; Lambda's is fixed (R-PORT-10)."""
    function = functions.get(mapping.function_name)
    if function is None:
        return mapping
    return replace(mapping, batch=replace(mapping.batch, payload_bytes_max=function.payload_bytes_max))
