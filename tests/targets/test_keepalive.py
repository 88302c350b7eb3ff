"""A function may be silent for long, and its connection must be there when it speaks."""

from __future__ import annotations

import socket
from contextlib import aclosing

import pytest
from aiohttp import web

from poller.aws import Aws
from poller.clock import SystemClock
from poller.invocation import Succeeded
from poller.keepalive import kept_alive
from poller.targets import lambda_function
from poller.targets.http import HttpTarget
from poller.targets.lambda_function import LambdaTarget
from tests.builders import invocation
from tests.http_endpoint import endpoint


def test_a_silent_peer_is_asked_each_minute():
    address, *_ = socket.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)
    with kept_alive(address) as made:
        assert made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        if hasattr(socket, "TCP_KEEPIDLE"):
            assert made.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60


async def test_both_ways_to_invoke_use_such_sockets(monkeypatch):
    made = []

    def counted(address):
        made.append(address)
        return kept_alive(address)

    for module in ("poller.targets.http", "poller.aws"):
        monkeypatch.setattr(f"{module}.kept_alive", counted)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")

    async def answer(request):
        return web.Response(text="{}")

    async with endpoint(answer) as url:
        async with aclosing(HttpTarget(url, timeout_seconds=5)) as target:
            assert isinstance(await target.invoke(invocation("id")), Succeeded)
        async with aclosing(Aws(endpoint_url=url.rpartition("/")[0])) as aws:
            target = LambdaTarget(aws, function_name="f", region="us-east-1", clock=SystemClock())
            assert isinstance(await target.invoke(invocation("id")), Succeeded)
    assert len(made) == 2


@pytest.mark.parametrize(
    ("name", "seconds"), [("f", 905.0), ("f:1", 905.0), ("f:$LATEST", 905.0), ("f:$LATEST.PUBLISHED", 5405.0)]
)
async def test_a_function_is_waited_for_as_long_as_it_may_run(name, seconds):
    """R-INV-7: 15 minutes, on managed instances 90."""

    class Asked:
        async def client(self, service, region, read_timeout_seconds):
            self.seconds = read_timeout_seconds
            raise lambda_function.Unavailable("no client")

    asked = Asked()
    await LambdaTarget(asked, function_name=name, region="us-east-1", clock=SystemClock()).invoke(invocation("id"))
    assert asked.seconds == seconds
