"""A Kinesis data stream, read by shared iterators: this file is its calls.

A position that is older than the stream's oldest record is moved to that record by Kinesis without a word, so such a
gap cannot be told from here (R-STATE-12); a position that Kinesis refuses is told as lost.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import UTC, datetime
from random import Random
from typing import Any

import anyio
from anyio.lowlevel import checkpoint
from msgspec.json import encode

from poller.arns import stream_arn
from poller.aws import Aws
from poller.aws_errors import Expired, NotFound, translated
from poller.errors import SourceGone, Unavailable
from poller.events import InnerRecordsDropped
from poller.model import Listing, Position, Shard, ShardId
from poller.ports import Clock, Observer, Room, all_room
from poller.records import Page, Record
from poller.repeating import RepeatedCall
from poller.rules.aggregation import ALL_HASHES, belonging
from poller.rules.pacing import KINESIS, KINESIS_BYTES_PER_SECOND, counted_bytes
from poller.sources.event_json import epoch_seconds, number, sequence_number, text
from poller.sources.kinesis_pass_through import PassThrough
from poller.sources.kinesis_records import AGGREGATES_BEGIN, RecordForm, aggregated
from poller.sources.known_shards import KnownShards, every_page, patiently
from poller.sources.polling import Answer, ShardPolling

_RECORDS_MAX = 10_000
"""Of an answer (R-KIN-2)."""

_SUMMARY_FRESH_SECONDS = 60.0
_PAGING_RESTARTS = 3
_LISTINGS_WITHOUT_SUMMARY_MAX = 3
_MOMENT_MAX = 1e11
"""Epoch seconds; some thousand years ahead, and still whole milliseconds."""


class KinesisSource:
    """One stream; see `poller.ports.Source`. ``mapping`` is the label for events, ``random`` spreads the polls.

    ``invoke_identity_arn`` is the role that events name; outside of Lambda it must be given (R-EVT-4). ``deaggregate``
    opens aggregates. ``room`` says how many records an answer may hold.
    ``arn`` may be that of a consumer, which events then name, although it is the stream that is read.
    """

    def __init__(
        self,
        aws: Aws,
        *,
        arn: str,
        mapping: str,
        observer: Observer,
        clock: Clock,
        random: Random,
        invoke_identity_arn: str = "",
        deaggregate: bool = False,
        room: Room = all_room,
    ) -> None:
        self._aws = aws
        self._arn = stream_arn(arn)
        self._region = arn.split(":")[3]
        self._mapping = mapping
        self._observer = observer
        self._random = random
        self._room = room
        self._deaggregate = deaggregate
        self._get_records = RepeatedCall(aws, "kinesis", "GetRecords", region=self._region, clock=clock)
        self._form = RecordForm(arn, invoke_identity_arn, clock)
        self._pass_through = PassThrough(self._form, AGGREGATES_BEGIN if deaggregate else None)
        self._known = KnownShards(self._list_shards)
        self._retention_seconds: float | None = None
        self._created_at: float | None = None
        self._summary_at = float("-inf")
        self._summaries_missed = 0
        self._listed: tuple[Shard, ...] = ()
        self._free_at: dict[ShardId, float] = {}
        self._iterators_free_at: dict[ShardId, float] = {}

    async def listing(self) -> Listing:
        created_at = self._created_at
        try:
            shards = await self._known.all()
            await self._summarise(insists=created_at is None or shards != self._listed)
            if self._created_at != created_at:  # the stream may have been made anew between the two questions
                shards = await self._known.all()
            self._listed = shards
        except SourceGone:
            self._summary_at = float("-inf")  # when it is back, it may be another one
            raise
        return Listing(shards, self._retention_seconds, self._created_at)

    def read(self, shard: ShardId, position: Position) -> AsyncGenerator[Page, None]:
        polling = ShardPolling(
            self, shard, position, pace=KINESIS, mapping=self._mapping, observer=self._observer, random=self._random
        )
        return polling.pages()

    reread = read  # iterators are many, and none minds another; but the calls for records take turns

    async def aclose(self) -> None:
        """Nothing to do: the clients are the door's."""

    async def iterator(self, shard: ShardId, position: Position) -> str:
        """See `poller.sources.polling.ShardCalls`; only the parameters that belong to the position are sent."""
        await self._turn(shard, self._iterators_free_at)
        client = await self._client()
        with translated(f"get an iterator for {shard} of {self._arn}"):
            answer = await client.get_shard_iterator(StreamARN=self._arn, ShardId=shard, **_start(position))
            return text(answer["ShardIterator"])

    async def records(self, shard: ShardId, iterator: str) -> Answer:
        asked_at = await self._turn(shard, self._free_at)
        with translated(f"get records of {shard} of {self._arn}"), self._room() as limit:
            question: dict[str, object] = {} if limit is None else {"Limit": min(limit, _RECORDS_MAX)}
            answer = await self._answer(shard, {"StreamARN": self._arn, "ShardIterator": iterator, **question})
        pause = answer.size_bytes / KINESIS_BYTES_PER_SECOND
        self._free_at[shard] = max(self._free_at[shard], asked_at + pause)
        return answer

    async def _answer(self, shard: ShardId, question: Mapping[str, object]) -> Answer:
        response = await self._get_records.send(encode(question))
        if response is not None and response.status_code == 200:
            passed = self._pass_through.answer(shard, await response.content)
            if passed is not None:
                return passed
        answer = await self._get_records.ask(question, response)
        behind = answer.get("MillisBehindLatest")
        behind_seconds = None if behind is None else number(behind) / 1000
        following = answer.get("NextShardIterator")
        following = None if following is None else text(following)
        ended = following is None and bool(answer.get("ChildShards"))
        records, read_to = await self.opened(shard, answer["Records"])
        size = counted_bytes(sum(len(raw["Data"]) for raw in answer["Records"]))
        return Answer(records, following, behind_seconds, ended, read_to, size)

    async def opened(
        self, shard: ShardId, raws: Sequence[Mapping[str, Any]]
    ) -> tuple[tuple[Record, ...], Position | None]:
        """The records of an answer, and how far it reaches if that is beyond the last of them, as in `Page`.

        Raises `KeyError`, `TypeError` or `ValueError` if the answer is not what the service promises; `Unavailable`
        or `SourceGone` if aggregates cannot be opened now. What is dropped is told when all of it has been understood.
        """
        if not self._deaggregate:
            return tuple(self._form.record(shard, raw) for raw in raws), None
        records: list[Record] = []
        dropped: list[InnerRecordsDropped] = []
        hashes: tuple[int, int] | None = None
        read_to: Position | None = None
        for raw in raws:
            inner = aggregated(raw)
            if inner is None:
                records.append(self._form.record(shard, raw))
                read_to = None
                continue
            hashes = hashes or await self._hashes(shard)
            kept = belonging(inner, hashes)
            records += self._form.inner_records(shard, raw, kept)
            outer = sequence_number(raw["SequenceNumber"])
            read_to = None if kept else Position.after(outer)
            if len(kept) < len(inner):
                dropped.append(InnerRecordsDropped(self._mapping, shard, outer, len(inner) - len(kept)))
            await checkpoint()  # an answer may hold a hundred thousand: others get their turn
        for event in dropped:
            self._observer(event)
        return tuple(records), read_to

    async def find(self, shard: ShardId) -> Shard | None:
        return await self._known.find(shard)

    async def is_closed(self, shard: ShardId) -> bool:
        return await self._known.is_closed(shard)

    async def _hashes(self, shard: ShardId) -> tuple[int, int]:
        """Which hash keys belong to a shard; all of them if its listing says nothing, so that none is dropped."""
        found = await self._known.seen(shard)
        return ALL_HASHES if found is None or found.hashes is None else found.hashes

    async def _turn(self, shard: ShardId, free_at: dict[ShardId, float]) -> float:
        """Waits until a call may be made, and says when: all readings of a shard share its limits (R-KIN-2)."""
        now = anyio.current_time()
        turn_at = max(now, free_at.get(shard, 0.0))
        free_at[shard] = turn_at + KINESIS.busy_seconds
        if turn_at > now:
            await anyio.sleep_until(turn_at)
        return turn_at

    async def _client(self) -> Any:
        return await self._aws.client("kinesis", self._region)

    async def _list_shards(self) -> Sequence[Shard]:
        """Every page; from the first one again if a token expired, which it does after 300 s (R-KIN-2)."""
        for _ in range(_PAGING_RESTARTS):
            try:
                return await every_page(self._shards_page, self._random, of=self._arn)
            except Expired as problem:
                expired = problem
        raise Unavailable(str(expired)) from expired

    async def _shards_page(self, token: str | None) -> tuple[list[Shard], str | None]:
        """One page of up to 1,000 shards.

        The service refuses a token together with a stream. Moto wants both, but pages only if MaxResults is given.
        """
        client = await self._client()
        with translated(f"list the shards of {self._arn}"):
            question = {"StreamARN": self._arn} if token is None else {"NextToken": token}
            answer = await client.list_shards(**question)
            return [_shard(raw) for raw in answer["Shards"]], answer.get("NextToken") or None

    async def _summarise(self, *, insists: bool) -> None:
        """How long records are kept, and since when; what was known last if the service does not say.

        Reading works without it, so only a missing stream is an error for ever. But the first listing, and any that
        shows other shards, insists for a few tries: only the age tells this stream from a later one of its name
        (R-STATE-10).
        """
        now = anyio.current_time()
        if now - self._summary_at < _SUMMARY_FRESH_SECONDS and not insists:
            return
        try:
            await (patiently(self._describe, self._random) if insists else self._describe())
            self._summary_at, self._summaries_missed = now, 0
        except NotFound:
            raise
        except (Unavailable, SourceGone):
            self._summaries_missed += 1
            if insists and self._summaries_missed <= _LISTINGS_WITHOUT_SUMMARY_MAX:
                raise

    async def _describe(self) -> None:
        client = await self._client()
        with translated(f"describe {self._arn}"):
            answer = (await client.describe_stream_summary(StreamARN=self._arn))["StreamDescriptionSummary"]
            self._retention_seconds = number(answer["RetentionPeriodHours"]) * 3600
            created_at = answer.get("StreamCreationTimestamp")
            self._created_at = None if created_at is None else _moment(created_at)


def _moment(value: object) -> float:
    """Raises `ValueError` if it is none that a store could keep."""
    found = epoch_seconds(value)
    if not 0 <= found < _MOMENT_MAX:
        raise ValueError(f"not a time: {value!r}")
    return found


def _start(position: Position) -> dict[str, object]:
    """The one set of parameters that a position needs; Kinesis refuses two starts in one question."""
    if position.sequence_number is not None:
        kind = "AFTER" if position.inner is None else "AT"  # inside an aggregate, which is then read again
        return {"ShardIteratorType": f"{kind}_SEQUENCE_NUMBER", "StartingSequenceNumber": position.sequence_number}
    if position.timestamp is not None:  # a datetime keeps its milliseconds on the wire (R-POS-4)
        at = datetime.fromtimestamp(position.timestamp, UTC)
        return {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": at}
    return {"ShardIteratorType": "TRIM_HORIZON"}


def _shard(raw: Mapping[str, Any]) -> Shard:
    """A merged shard has two parents, and waits for both (R-SHARD-1)."""
    parents = (raw.get("ParentShardId"), raw.get("AdjacentParentShardId"))
    closed = raw["SequenceNumberRange"].get("EndingSequenceNumber") is not None
    hashes = raw.get("HashKeyRange")
    return Shard(
        ShardId(text(raw["ShardId"])),
        tuple(ShardId(each) for each in parents if each),
        closed,
        None if hashes is None else (int(hashes["StartingHashKey"]), int(hashes["EndingHashKey"])),
    )
