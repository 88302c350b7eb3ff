"""The stream as one simulated worker reaches it: this file is where calls take time, fail, and lose their answers."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator
from dataclasses import replace

from poller.errors import Unavailable
from poller.model import Listing, Position, Shard, ShardId
from poller.ports import Observer
from poller.records import Page
from poller.rules import pacing
from poller.sources.polling import Answer, ShardPolling
from tests.simulation.faults import Faults
from tests.simulation.life import Life
from tests.simulation.stream import DYNAMODB, KINESIS, SimStream


class SimCalls:
    """The calls of a stream service, by one worker; see `poller.sources.polling.ShardCalls`."""

    def __init__(self, stream: SimStream, life: Life, faults: Faults) -> None:
        self.stream = stream
        self._life = life
        self._faults = faults
        self._lagging: Listing | None = None

    async def iterator(self, shard: ShardId, position: Position) -> str:
        await self._there()
        answer = self.stream.iterator(shard, position)
        await self._back()
        return answer

    async def records(self, shard: ShardId, iterator: str) -> Answer:
        await self._there()
        if self._life.strikes("iterator expired"):
            self.stream.expire(iterator)
        answer = self.stream.records(shard, iterator)
        await self._back()
        if answer.iterator is not None and self._life.strikes("null iterator"):
            return Answer(answer.records, None, answer.behind_seconds)
        return answer

    async def find(self, shard: ShardId) -> Shard | None:
        return {each.id: each for each in (await self.listing()).shards}.get(shard)

    async def is_closed(self, shard: ShardId) -> bool:
        found = await self.find(shard)
        return found is not None and found.closed

    async def listing(self) -> Listing:
        await self._there()
        if self._life.strikes("listing failed"):
            raise Unavailable("listing failed")
        fresh = Listing(tuple(self.stream.listing()), None, self.stream.created_at)
        # A listing may miss the youngest shards and not yet know of a closing, but is of one stream, and never forgets.
        lags = self._lagging is not None and self._lagging.stream_created_at == fresh.stream_created_at
        answer = self._lagging if lags and self._life.strikes("listing lags") else fresh
        self._lagging = fresh
        await self._back()
        return answer

    async def _there(self) -> None:
        await self._life.takes_time("slow call")
        if self._faults.is_away("stream"):
            raise Unavailable("no connection")
        if self._life.strikes("throttled"):
            raise Unavailable("throttled", throttled=True)
        if self._life.strikes("unavailable"):
            raise Unavailable("500")

    async def _back(self) -> None:
        await self._life.takes_time("slow call")
        if self._life.strikes("answer lost"):
            raise Unavailable("the connection was cut")


class SimSource:
    """The stream through the polling of production; see `poller.ports.Source`."""

    def __init__(self, calls: SimCalls, life: Life, observer: Observer, retention_seconds: float | None) -> None:
        self._pace = pacing.KINESIS if calls.stream.kind is KINESIS else pacing.DYNAMODB
        self._calls = calls
        self._life = life
        self._observer = observer
        self._retention_seconds = retention_seconds

    async def listing(self) -> Listing:
        return replace(await self._calls.listing(), retention_seconds=self._retention_seconds)

    def read(self, shard: ShardId, position: Position) -> AsyncGenerator[Page, None]:
        """As the adapters do: DynamoDB knows no moments, so that older records are left out here (R-DDB-10)."""
        at = position.timestamp if self._calls.stream.kind is DYNAMODB else None
        polling = ShardPolling(
            self._calls,
            shard,
            position,
            pace=self._pace,
            mapping="m",
            observer=self._observer,
            random=self._life.random,
            skip_before=None if at is None else math.floor(at),
        )
        return polling.pages()

    def reread(self, shard: ShardId, position: Position) -> AsyncGenerator[Page, None]:
        self._life.recovered("lane read behind the others")
        return self.read(shard, position)

    async def aclose(self) -> None:
        pass
