"""A simulated stream: this file is its shards, records, iterators and limits, without any fault of its own."""

from __future__ import annotations

import bisect
from dataclasses import dataclass, field

import anyio

from poller.aws_errors import Expired, NotFound
from poller.errors import PositionLost, Unavailable
from poller.model import Position, SequenceNumber, Shard, ShardId
from poller.records import Record, RenderedRecord
from poller.sources.polling import Answer
from tests.history import entries
from tests.history.log import History
from tests.virtual import EPOCH

CALLS_PER_SECOND = 5
HASHES = 1000

CANARY = "canary-5d1f0c"
"""In every record; never in logs or metrics."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What the services differ in; a stream that rotates replaces a shard by one child now and then."""

    name: str
    iterator_seconds: float
    rotates: bool


KINESIS = Kind("kinesis", 300.0, rotates=False)
DYNAMODB = Kind("dynamodb", 900.0, rotates=True)


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
    closed_at: float | None = None
    calls: list[float] = field(default_factory=list)

    @property
    def closed(self) -> bool:
        return self.closed_at is not None


class SimStream:
    """A stream that splits, merges, rotates, trims, and expires iterators; time is the running loop's."""

    def __init__(self, history: History, *, kind: Kind, shards: int, page_records: int, wants) -> None:
        self._history = history
        self._wants = wants
        self._first_shards = shards
        self.kind = kind
        self.page_records = page_records
        self.created_at = EPOCH - 100.0
        self.shards: dict[str, SimShard] = {}
        self._made = 0
        self.last = 95  # the first numbers have two digits, the next ones three: text would compare wrongly
        self._iterators: dict[str, tuple[str, int, float]] = {}
        self._iterators_made = 0
        self._begin()

    def _begin(self) -> None:
        width = HASHES // self._first_shards
        for index in range(self._first_shards):
            last = index == self._first_shards - 1
            self._add(index * width, HASHES if last else (index + 1) * width, ())

    # What producers and operators do

    def put(self, key: int) -> int:
        shard = next(each for each in self.open_shards() if each.low <= key % HASHES < each.high)
        self.last += 1 + (self.last * 2654435761 >> 16) % 3  # the next one may follow at once, or not
        shard.numbers.append(self.last)
        shard.records.append(_record(self.last, f"k-{key}"))
        self._history.add(entries.Put(anyio.current_time(), shard.id, self.last, f"k-{key}"))
        if not self._wants(key):
            self._history.add(entries.Unwanted(anyio.current_time(), shard.id, self.last))
        return self.last

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

    def rotate(self, shard: SimShard) -> bool:
        self._reshard((shard,), ((shard.low, shard.high),))
        return True

    def trim(self, shard: SimShard, count: int) -> None:
        """Throws away the oldest ``count`` records."""
        gone, shard.numbers = shard.numbers[:count], shard.numbers[count:]
        shard.records = shard.records[count:]
        if gone:
            shard.trimmed = gone[-1]
            self._history.add(entries.Trimmed(anyio.current_time(), shard.id, tuple(gone)))

    def grow_old(self, retention_seconds: float) -> bool:
        """Trims what is too old, and forgets closed shards that hold nothing any more; whether something went."""
        oldest_at = EPOCH + anyio.current_time() - retention_seconds
        before = self.last_trimmed()
        for shard in list(self.shards.values()):
            self.trim(shard, bisect.bisect_left(shard.records, oldest_at, key=lambda each: each.arrived_at))
            if shard.closed_at is not None and EPOCH + shard.closed_at < oldest_at:
                del self.shards[shard.id]
                self._history.add(entries.Vanished(anyio.current_time(), shard.id))
        return self.last_trimmed() != before

    def last_trimmed(self) -> tuple[int, ...]:
        return tuple(shard.trimmed for shard in self.shards.values())

    def make_anew(self) -> None:
        """Deletes the stream, and makes one of the same name: its shards have the same names again."""
        self._history.add(entries.Remade(anyio.current_time()))
        self.shards.clear()
        self._made = 0
        self.created_at = EPOCH + anyio.current_time()
        self._begin()

    def open_shards(self) -> list[SimShard]:
        return [shard for shard in self.shards.values() if not shard.closed]

    def _add(self, low: int, high: int, parents: tuple[str, ...]) -> SimShard:
        shard = SimShard(f"shard-{self._made:03}", low, high, parents, trimmed=self.last)
        self._made += 1
        self.shards[shard.id] = shard
        return shard

    def _reshard(self, parents: tuple[SimShard, ...], ranges: tuple[tuple[int, int], ...]) -> None:
        for parent in parents:
            parent.closed_at = anyio.current_time()
        names = tuple(parent.id for parent in parents)
        children = tuple(self._add(low, high, names).id for low, high in ranges)
        self._history.add(entries.Resharded(anyio.current_time(), names, children))

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
        elif position.timestamp is not None and self.kind is KINESIS:  # the other one begins with the oldest record
            older = bisect.bisect_left(shard.records, position.timestamp, key=lambda each: each.arrived_at)
            after = shard.numbers[older - 1] if older else after
        return self._token(shard_id, after)

    def expire(self, iterator: str) -> None:
        self._iterators.pop(iterator, None)

    def records(self, shard_id: ShardId, iterator: str) -> Answer:
        shard = self._known(shard_id)
        now = anyio.current_time()
        of, after, issued_at = self._iterators.get(iterator, ("", 0, -1e9))
        if of != shard_id or now - issued_at > self.kind.iterator_seconds:
            raise Expired("the iterator has expired")
        if after < shard.trimmed:
            raise PositionLost(f"{after} is older than the trim point {shard.trimmed}")
        shard.calls = [at for at in shard.calls if now - at < 1]
        if len(shard.calls) >= CALLS_PER_SECOND:
            raise Unavailable("too many calls", throttled=True)
        shard.calls.append(now)
        start = bisect.bisect_right(shard.numbers, after)
        page = tuple(shard.records[start : start + self.page_records])
        more = start + len(page) < len(shard.records)
        tells = self.kind is KINESIS  # the other one tells neither how far behind it is nor that this was the end
        behind = EPOCH + now - shard.records[start + len(page)].arrived_at if more else 0.0
        # The end of every other shard is an answer of its own.
        if shard.closed and not more and (not page or int(shard.id[-1]) % 2):
            return Answer(page, None, 0.0 if tells else None, ended=tells)
        following = self._token(shard_id, int(page[-1].sequence_number) if page else after)
        return Answer(page, following, behind if tells else None)

    def _known(self, shard: ShardId) -> SimShard:
        if shard not in self.shards:
            raise NotFound(f"no shard {shard}")
        return self.shards[shard]

    def _token(self, shard: str, after: int) -> str:
        self._iterators_made += 1
        token = f"{shard}/{after}/{self._iterators_made}"
        self._iterators[token] = (shard, after, anyio.current_time())
        if self._iterators_made % 1000 == 0:
            alive = anyio.current_time() - self.kind.iterator_seconds
            self._iterators = {name: each for name, each in self._iterators.items() if each[2] >= alive}
        return token


def hash_range(shard: SimShard) -> dict[str, str]:
    """The hash keys of a shard as Kinesis tells them, of which there are 2**128."""
    unit = 2**128 // HASHES
    last = 2**128 if shard.high == HASHES else shard.high * unit
    return {"StartingHashKey": str(shard.low * unit), "EndingHashKey": str(last - 1)}


def _record(number: int, key: str) -> Record:
    body = f'{{"kinesis":{{"sequenceNumber":"{number}","partitionKey":"{key}","data":"{CANARY}"}}}}'
    return RenderedRecord(SequenceNumber(str(number)), key, EPOCH + anyio.current_time(), body.encode())
