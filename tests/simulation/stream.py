"""A simulated stream: this file is its shards, records, iterators and limits, without any fault of its own."""

from __future__ import annotations

import bisect
from dataclasses import dataclass, field

import anyio

from poller.aws import Expired, NotFound
from poller.errors import PositionLost, Unavailable
from poller.model import Position, Record, Shard, ShardId
from poller.sources.polling import Answer
from tests.builders import record
from tests.simulation.history import History, Put, Resharded, Trimmed, Unwanted
from tests.virtual import EPOCH

ITERATOR_SECONDS = 300.0
CALLS_PER_SECOND = 5
HASHES = 1000


@dataclass
class SimShard:
    """One shard; ``low`` and ``high`` bound the hashes of its keys, ``numbers`` are its records in order."""

    id: str
    low: int
    high: int
    parents: tuple[str, ...] = ()
    records: list[Record] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    trimmed: int = 0  # sequence numbers up to here are gone
    closed: bool = False
    calls: list[float] = field(default_factory=list)


class SimStream:
    """A stream that splits, merges, trims, and expires iterators; time is the running loop's."""

    def __init__(self, history: History, *, shards: int, page_records: int, wants) -> None:
        self._history = history
        self._wants = wants
        self.page_records = page_records
        self.shards: dict[str, SimShard] = {}
        self._last = 95  # the first numbers have two digits, the next ones three: text would compare wrongly
        self._iterators: dict[str, tuple[str, int, float]] = {}
        width = HASHES // shards
        for index in range(shards):
            self._add(index * width, HASHES if index == shards - 1 else (index + 1) * width, ())

    # What producers and operators do

    def put(self, key: int) -> None:
        shard = next(each for each in self.open_shards() if each.low <= key % HASHES < each.high)
        self._last += 1 + self._last % 3
        shard.numbers.append(self._last)
        shard.records.append(record(self._last, key=f"k-{key}", arrived_at=EPOCH + anyio.current_time()))
        self._history.add(Put(anyio.current_time(), shard.id, self._last, f"k-{key}"))
        if not self._wants(key):
            self._history.add(Unwanted(anyio.current_time(), shard.id, self._last))

    def split(self, shard: SimShard) -> bool:
        if shard.high - shard.low < 2:
            return False
        middle = (shard.low + shard.high) // 2
        self._reshard((shard,), ((shard.low, middle), (middle, shard.high)))
        return True

    def merge(self, one: SimShard) -> bool:
        two = next((each for each in self.open_shards() if each.low == one.high), None)
        if two is None:
            return False
        self._reshard((one, two), ((one.low, two.high),))
        return True

    def trim(self, shard: SimShard, count: int) -> None:
        """Throws away the oldest ``count`` records."""
        gone, shard.numbers = shard.numbers[:count], shard.numbers[count:]
        shard.records = shard.records[count:]
        if gone:
            shard.trimmed = gone[-1]
            self._history.add(Trimmed(anyio.current_time(), shard.id, tuple(gone)))

    def open_shards(self) -> list[SimShard]:
        return [shard for shard in self.shards.values() if not shard.closed]

    def expire_iterators(self) -> None:
        self._iterators = {token: (shard, after, -1e9) for token, (shard, after, _) in self._iterators.items()}

    def _add(self, low: int, high: int, parents: tuple[str, ...]) -> SimShard:
        shard = SimShard(f"shard-{len(self.shards):03}", low, high, parents)
        self.shards[shard.id] = shard
        return shard

    def _reshard(self, parents: tuple[SimShard, ...], ranges: tuple[tuple[int, int], ...]) -> None:
        for parent in parents:
            parent.closed = True
        names = tuple(parent.id for parent in parents)
        children = tuple(self._add(low, high, names).id for low, high in ranges)
        self._history.add(Resharded(anyio.current_time(), names, children))

    # What the service answers

    def listing(self) -> list[Shard]:
        return [
            Shard(ShardId(each.id), tuple(ShardId(parent) for parent in each.parents), each.closed)
            for each in self.shards.values()
        ]

    def iterator(self, shard_id: ShardId, position: Position) -> str:
        shard = self._known(shard_id)
        after = shard.trimmed
        if position.sequence_number is not None:
            after = int(position.sequence_number)
            if after < shard.trimmed:
                raise PositionLost(f"{after} is older than the trim point {shard.trimmed}")
        elif position.timestamp is not None:
            older = [int(r.sequence_number) for r in shard.records if r.arrived_at < position.timestamp]
            after = max(older, default=after)
        return self._token(shard_id, after)

    def records(self, shard_id: ShardId, iterator: str) -> Answer:
        shard = self._known(shard_id)
        now = anyio.current_time()
        of, after, issued_at = self._iterators.get(iterator, ("", 0, -1e9))
        if of != shard_id or now - issued_at > ITERATOR_SECONDS:
            raise Expired("the iterator has expired")
        if after < shard.trimmed:
            raise PositionLost(f"{after} is older than the trim point {shard.trimmed}")
        shard.calls = [at for at in shard.calls if now - at < 1]
        if len(shard.calls) >= CALLS_PER_SECOND:
            raise Unavailable("too many calls", throttled=True)
        shard.calls.append(now)
        start = bisect.bisect_right(shard.numbers, after)
        page = tuple(shard.records[start : start + self.page_records])
        rest = shard.records[start + len(page) :]
        behind = EPOCH + now - rest[0].arrived_at if rest else 0.0
        if shard.closed and not rest:
            return Answer(page, None, 0.0, ended=True)
        return Answer(page, self._token(shard_id, int(page[-1].sequence_number) if page else after), behind)

    def _known(self, shard: ShardId) -> SimShard:
        if shard not in self.shards:
            raise NotFound(f"no shard {shard}")
        return self.shards[shard]

    def _token(self, shard: str, after: int) -> str:
        token = f"{shard}/{after}/{len(self._iterators)}"
        self._iterators[token] = (shard, after, anyio.current_time())
        return token
