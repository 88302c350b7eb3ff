"""The status server: this file is /metrics, /livez and /readyz over HTTP."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio.to_thread
from aiohttp import web

from poller.errors import ConfigError
from poller.observers.health import Finding, Health
from poller.observers.metrics import CONTENT_TYPE, Metrics

_SHUTDOWN_SECONDS = 1.0
"""An idle client must not hold up a drain."""


@asynccontextmanager
async def status_server(
    host: str, port: int, *, metrics: Metrics, health: Health, config: Path
) -> AsyncGenerator[int, None]:
    """Serves while the context is open, and gives the port, which is a free one if ``port`` is 0.

    Raises `ConfigError`, which names the file ``config``, if it cannot listen there.
    """
    runner = web.AppRunner(_application(metrics, health), access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            problem = f"cannot listen on {host}:{port}: {error.strerror or error}"
            advice = 'give an address of this machine and a port that is free, or "" for no server'
            raise ConfigError((f"{config}: server.listen: {problem}; {advice}",)) from error
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


def _application(metrics: Metrics, health: Health) -> web.Application:
    async def text(request: web.Request) -> web.Response:
        # In a thread: with thousands of shards the text takes longer than a loop that renews leases should wait.
        body = await anyio.to_thread.run_sync(metrics.render)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})

    async def live(request: web.Request) -> web.Response:
        return _answer(health.live())

    async def ready(request: web.Request) -> web.Response:
        return _answer(health.ready())

    async def nothing(request: web.Request) -> web.Response:
        return web.json_response({"error": "not found", "paths": ["/metrics", "/livez", "/readyz"]}, status=404)

    application = web.Application()
    application.router.add_get("/metrics", text)
    application.router.add_get("/livez", live)
    application.router.add_get("/readyz", ready)
    application.router.add_route("*", "/{anything:.*}", nothing)
    return application


def _answer(finding: Finding) -> web.Response:
    return web.json_response(
        {"status": "ok" if finding.good else "unavailable", "reasons": list(finding.reasons)},
        status=200 if finding.good else 503,
    )
