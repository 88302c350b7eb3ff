"""An HTTP server of a test's own on a free port: this file is how tests play the other side of a socket."""

from __future__ import annotations

from contextlib import asynccontextmanager

from aiohttp import web


@asynccontextmanager
async def endpoint(answer):
    """A server whose every answer is ``answer(request)``."""
    application = web.Application()

    async def give(request):
        return await answer(request)

    application.router.add_route("*", "/{any:.*}", give)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/orders"
    finally:
        await runner.cleanup()
