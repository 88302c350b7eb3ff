"""What a stream's last listing said: this file is what spares a service the same question from many shards at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from random import Random
from typing import TypeVar

import anyio

from poller.aws_errors import BadArgument, Expired
from poller.errors import Unavailable
from poller.model import Shard, ShardId
from poller.rules.pacing import backoff_seconds

T = TypeVar("T")

_PAGE_ATTEMPTS = 4


class KnownShards:
    """Lists by ``list_all``, one listing at a time; a question asked meanwhile shares the next one's answer."""

    def __init__(self, list_all: Callable[[], Awaitable[Sequence[Shard]]]) -> None:
        self._list_all = list_all
        self._listing = anyio.Lock()
        self._listed_at = float("-inf")
        self._shards: dict[ShardId, Shard] = {}

    async def all(self) -> tuple[Shard, ...]:
        """All shards, as they are listed now or after the call. Raises `Unavailable` or `SourceGone`."""
        asked_at = anyio.current_time()
        async with self._listing:
            if self._listed_at <= asked_at:  # else one began after we asked
                began_at = anyio.current_time()
                self._shards = {shard.id: shard for shard in await self._list_all()}
                self._listed_at = began_at
            return tuple(self._shards.values())

    async def find(self, shard: ShardId) -> Shard | None:
        """The shard as it is listed now, ``None`` if it is not. Raises `Unavailable` or `SourceGone`."""
        return {each.id: each for each in await self.all()}.get(shard)

    async def seen(self, shard: ShardId) -> Shard | None:
        """The shard as the last listing has it, as `find` if that does not: for what never changes of a shard."""
        return self._shards.get(shard) or await self.find(shard)

    async def is_closed(self, shard: ShardId) -> bool:
        """Whether the shard is listed as one that takes no new records. Closed shards never reopen.

        One that is missing is not called closed: a listing may lag behind the birth of a shard.
        """
        known = self._shards.get(shard)
        if known is not None and known.closed:
            return True
        found = await self.find(shard)
        return found is not None and found.closed


async def every_page(
    page: Callable[[str | None], Awaitable[tuple[Sequence[Shard], str | None]]], random: Random, *, of: str
) -> list[Shard]:
    """All pages of the listing of stream ``of``: ``page`` gives the one at a token, and the token of the next one.

    Raises `Unavailable` if they go in a circle, and what ``page`` raises.
    """
    shards: list[Shard] = []
    tokens: set[str] = set()
    token: str | None = None
    while True:
        more, token = await patiently(partial(page, token), random)
        shards += more
        if token is None:
            return shards
        if token in tokens:
            raise Unavailable(f"the shards of {of} are listed in a circle")
        tokens.add(token)


async def patiently(call: Callable[[], Awaitable[T]], random: Random) -> T:
    """``call``, again after a pause if the service is unavailable: one throttle must not undo twenty pages."""
    for failures in range(_PAGE_ATTEMPTS - 1):
        try:
            return await call()
        except (Expired, BadArgument):
            raise
        except Unavailable:
            await anyio.sleep(backoff_seconds(failures, random.random()))
    return await call()
