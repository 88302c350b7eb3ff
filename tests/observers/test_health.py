"""The probes of an orchestrator, and the server that answers them."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import anyio
import pytest
from prometheus_client.parser import text_string_to_metric_families

from poller.api.server import status_server
from poller.errors import ConfigError
from poller.events import MappingTroubled, ShardsListed, WorkerDraining, WorkerStarted
from poller.observers.health import Health
from poller.observers.loop_lag import watch_loop_lag
from poller.observers.metrics import Metrics
from tests.observers.test_metrics import Clock
from tests.virtual import run_virtually

FILE = Path("poller.toml")


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def health(clock):
    return Health(clock)


def test_a_worker_is_ready_when_every_mapping_has_listed_its_shards_until_it_drains(health):
    assert not health.ready().good
    health(WorkerStarted("w/1", 2))
    health(ShardsListed("orders", 2, 2))
    health(MappingTroubled("items", "no such stream"))
    assert health.ready().reasons == (
        "1 of 2 mappings have not listed their shards yet",
        "mapping items is troubled, see the log",
    )
    health(ShardsListed("items", 1, 1))
    assert health.ready().good
    health(MappingTroubled("items", "gone again"))
    assert health.ready().good
    health(WorkerDraining(25.0))
    assert not health.ready().good
    assert health.live().good


def test_a_loop_that_no_longer_comes_round_is_not_alive(health, clock):
    assert health.live().good
    health.tick()
    clock.time += 29
    assert health.live().good
    clock.time += 2
    assert not health.live().good


def test_the_lag_of_the_loop_is_measured():
    heard = []

    async def main():
        with anyio.move_on_after(5):
            await watch_loop_lag(heard.append)

    run_virtually(main)
    assert len(heard) == 9 or len(heard) == 10
    assert max(heard) == pytest.approx(0.0, abs=1e-6)


async def test_metrics_and_probes_are_served(health, clock):
    metrics = Metrics(clock, version="1")
    serving = status_server("127.0.0.1", 0, metrics=metrics, health=health, config=FILE)
    async with serving as port, aiohttp.ClientSession() as client:

        async def get(path):
            async with client.get(f"http://127.0.0.1:{port}{path}") as answer:
                return answer.status, await answer.text()

        status, text = await get("/metrics")
        assert status == 200
        assert {family.name for family in text_string_to_metric_families(text)} > {
            "poller_build_info",
            "poller_mappings",
        }
        assert (await get("/livez"))[0] == 200
        assert (await get("/readyz"))[0] == 503
        health(WorkerStarted("w/1", 0))
        assert (await get("/readyz"))[0] == 200
        status, text = await get("/elsewhere")
        assert status == 404
        assert "/metrics" in text


async def test_a_port_that_is_taken_is_a_problem_of_the_configuration(health, clock):
    metrics = Metrics(clock, version="1")
    async with status_server("127.0.0.1", 0, metrics=metrics, health=health, config=FILE) as port:
        with pytest.raises(
            ConfigError, match=f"poller.toml: server.listen: cannot listen on 127.0.0.1:{port}: .*; give an"
        ):
            async with status_server("127.0.0.1", port, metrics=metrics, health=health, config=FILE):
                pass
