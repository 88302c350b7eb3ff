"""`poller dev`: this file is the worker as in production, on an endpoint and with traffic of its own."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from ipaddress import ip_address
from typing import TextIO, cast
from urllib.parse import urlsplit

import anyio

from poller.app import run_worker, stopped_by_signals
from poller.arns import SourceKind, shown, source_kind, source_name
from poller.clock import SystemClock
from poller.config import FunctionSettings, Settings
from poller.dev.endpoint import embedded_endpoint, keep_handlers_here, use_words_for_credentials, with_streams
from poller.dev.ledger import Balance, CountedTarget, Ledger
from poller.dev.traffic import put_records
from poller.dev.view import View
from poller.errors import ConfigError
from poller.observers.log import Log
from poller.observers.logging_setup import configure_logging
from poller.opening import open_aws

STAND_IN = "poller.dev.handlers:stand_in"
STUCK_SECONDS = 60.0
"""With a number of records, a session in which nothing moves for so long is given up."""
LAST_SECONDS = 5.0
"""The same after Ctrl-C, when what was put is still delivered, so that the summary adds up."""


def main_dev(settings: Settings, *, records: int | None, as_json: bool) -> int:
    """Runs until Ctrl-C, or until ``records`` are accounted for. Returns 0, or 1 if some of them are not.

    With ``as_json`` the summary is JSON on standard output, and the rest goes to standard error.
    """
    if not any(mapping.enabled for mapping in settings.mappings):
        raise ConfigError((f"{settings.path}: there is no enabled mapping to show",))
    use_words_for_credentials()
    session = _Session(settings, records, View(sys.stderr if as_json else sys.stdout))
    balance, seconds, first = anyio.run(session.run)
    summary = asdict(balance) | {
        "seconds": round(seconds, 1),
        "first_handled_after_seconds": None if first is None else round(first, 1),
    }
    if as_json:
        print(json.dumps(summary, indent=2))
    else:
        print("\n" + "  ".join(f"{key.replace('_', ' ')}: {value}" for key, value in summary.items()))
    return 1 if records is not None and balance.unaccounted else 0


class _Session:
    def __init__(self, settings: Settings, records: int | None, view: View) -> None:
        self._settings = settings
        self._records = records
        self._view = view
        self._done = anyio.Event()

    async def run(self) -> tuple[Balance, float, float | None]:
        """The balance, how long it all took, and when the first record was handled; seconds from the start."""
        started = anyio.current_time()
        stream = cast(TextIO, self._view) if self._view.is_table else sys.stderr
        log = Log(configure_logging(stream=stream, as_json=False), SystemClock())
        asked, stop = anyio.Event(), anyio.Event()
        async with stopped_by_signals(asked), embedded_endpoint() as url:
            settings = await with_streams(kept_here(self._settings, self._view.say), url)
            keep_handlers_here(settings.aws)
            ledger = Ledger([mapping for mapping in settings.mappings if mapping.enabled])
            self._greet(settings, url)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._view.show_for_ever)
                tasks.start_soon(self._produce, settings, ledger, asked, stop)
                await run_worker(
                    settings,
                    stop=stop,
                    observers=(log, ledger, self._view),
                    wrap_target=lambda mapping, target: CountedTarget(mapping, target, ledger),
                )
                tasks.cancel_scope.cancel()
        self._view.show()
        first = ledger.first_handled_at
        return ledger.balance(), anyio.current_time() - started, None if first is None else first - started

    async def _produce(self, settings: Settings, ledger: Ledger, asked: anyio.Event, stop: anyio.Event) -> None:
        """Traffic until the end is asked for or the number of records is reached; the stop once all is accounted."""
        aws = open_aws(settings.aws)
        sources = sorted({mapping.source_arn for mapping in settings.mappings if mapping.enabled})
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_cancel_at, asked, tasks.cancel_scope)
                await put_records(aws, sources, ledger, self._records)
                await _accounted(ledger, STUCK_SECONDS)
                tasks.cancel_scope.cancel()
            if asked.is_set():
                self._view.say("stopping: what was put is still delivered; Ctrl-C again leaves at once")
                await _accounted(ledger, LAST_SECONDS)
            stop.set()
        finally:
            with anyio.CancelScope(shield=True):
                await aws.aclose()

    def _greet(self, settings: Settings, url: str) -> None:
        say = self._view.say
        say(f"embedded AWS endpoint: {url} (any credentials; its streams are new, hence read from their beginning,")
        say("  and checkpoints are kept in memory)")
        if settings.server is not None:
            say(f"metrics and health: http://{settings.server.host}:{settings.server.port}/metrics")
        for mapping in settings.mappings:
            if mapping.enabled:
                say(f"{mapping.name}: {mapping.source_arn} -> {mapping.function_name}")
        for mapping in settings.mappings:
            if mapping.enabled and source_kind(mapping.source_arn) is SourceKind.KINESIS_STREAM:
                say("put a record of your own, in another terminal:")
                say(
                    f"  AWS_ACCESS_KEY_ID=dev AWS_SECRET_ACCESS_KEY=dev aws kinesis put-record "
                    f"--endpoint-url {url} --region {mapping.source_arn.split(':')[3]} "
                    f"--stream-name {source_name(mapping.source_arn)} --partition-key me "
                    f'--cli-binary-format raw-in-base64-out --data \'{{"id":"mine"}}\''
                )
                break


async def _cancel_at(stop: anyio.Event, scope: anyio.CancelScope) -> None:
    await stop.wait()
    scope.cancel()


async def _accounted(ledger: Ledger, stuck_seconds: float) -> None:
    """Returns when nothing is unaccounted for, or nothing has moved for ``stuck_seconds``."""
    left, since = ledger.balance().unaccounted, anyio.current_time()
    while left and anyio.current_time() - since < stuck_seconds:
        await anyio.sleep(0.1)
        now = ledger.balance().unaccounted
        if now != left:
            left, since = now, anyio.current_time()


def kept_here(settings: Settings, say: Callable[[str], None]) -> Settings:
    """Sample records leave this machine by no way: a stand-in takes what would go to a Lambda function or far away.

    Reports to a URL far away are left out.
    """
    functions = dict(settings.functions)
    mappings = []
    for mapping in settings.mappings:
        function = functions.get(mapping.function_name)
        what = "a Lambda function" if function is None else f"at {shown(function.url or '')}"
        if mapping.enabled and (function is None or _is_far(function.url)):
            functions[mapping.function_name] = FunctionSettings(mapping.function_name, STAND_IN, None)
            say(f"{mapping.name}: {mapping.function_name} is {what}; a stand-in takes its batches here")
        if mapping.enabled and _is_far(mapping.destination):
            say(f"{mapping.name}: nothing is reported to {shown(mapping.destination or '')} from here")
        mappings.append(replace(mapping, destination=None) if _is_far(mapping.destination) else mapping)
    return replace(settings, functions=functions, mappings=tuple(mappings))


def _is_far(url: str | None) -> bool:
    """Whether it is a URL of another machine."""
    if url is None or not url.startswith(("http://", "https://")):
        return False
    host = urlsplit(url).hostname or ""
    try:
        return not ip_address(host).is_loopback
    except ValueError:
        return host != "localhost"
