"""A Kinesis data stream, read by a registered consumer: this file is enhanced fan-out, where Kinesis pushes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from datetime import UTC, datetime
from random import Random

from poller.aws import Aws
from poller.aws_errors import translated
from poller.model import Listing, Position, Shard, ShardId
from poller.ports import Clock, Observer, Room, all_room
from poller.records import Page
from poller.rules.pacing import FANOUT, SubscriptionPace
from poller.sources.event_json import number, sequence_number
from poller.sources.kinesis import KinesisSource
from poller.sources.polling import Answer
from poller.sources.subscribing import ShardSubscribing
from poller.sources.subscription import Subscriber, Subscription


class FanoutSource:
    """One stream and its consumer, which is ``arn``; see `poller.ports.Source` and `KinesisSource` for the rest.

    What is read again is read by iterators, so that no subscription is ever taken over for it (R-EFO-6).
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
        pace: SubscriptionPace = FANOUT,
    ) -> None:
        self._mapping = mapping
        self._observer = observer
        self._clock = clock
        self._random = random
        self._pace = pace
        self._subscriber = Subscriber(aws, arn)
        self._due: dict[ShardId, float] = {}
        self._closed: frozenset[ShardId] = frozenset()
        self._kinesis = KinesisSource(
            aws,
            arn=arn,
            mapping=mapping,
            observer=observer,
            clock=clock,
            random=random,
            invoke_identity_arn=invoke_identity_arn,
            deaggregate=deaggregate,
            room=room,
        )

    async def listing(self) -> Listing:
        listing = await self._kinesis.listing()
        self._closed = frozenset(shard.id for shard in listing.shards if shard.closed)
        return listing

    def read(self, shard: ShardId, position: Position) -> AsyncGenerator[Page, None]:
        subscribing = ShardSubscribing(
            self,
            shard,
            position,
            pace=self._pace,
            due=self._due,
            mapping=self._mapping,
            observer=self._observer,
            clock=self._clock,
            random=self._random,
        )
        return subscribing.pages()

    def reread(self, shard: ShardId, position: Position) -> AsyncGenerator[Page, None]:
        return self._kinesis.reread(shard, position)

    async def aclose(self) -> None:
        """A subscription is closed with the pages that come of it."""
        await self._kinesis.aclose()

    async def subscribe(self, shard: ShardId, position: Position, continuation: str | None) -> Pushed:
        """See `poller.sources.subscribing.SubscriptionCalls`."""
        subscription = await self._subscriber.subscribe(shard, _start(position, continuation))
        return Pushed(self._kinesis, shard, subscription)

    async def find(self, shard: ShardId) -> Shard | None:
        return await self._kinesis.find(shard)

    async def is_closed(self, shard: ShardId) -> bool:
        return await self._kinesis.is_closed(shard)

    def was_closed(self, shard: ShardId) -> bool:
        return shard in self._closed


class Pushed:
    """One subscription, its events read as those of its stream; see `poller.sources.subscribing.Answers`."""

    def __init__(self, kinesis: KinesisSource, shard: ShardId, subscription: Subscription) -> None:
        self._kinesis = kinesis
        self._shard = shard
        self._subscription = subscription

    async def answer(self) -> Answer | None:
        event = await self._subscription.event()
        if event is None:
            return None
        with translated(f"read an event of {self._shard}"):
            children = bool(event.get("ChildShards"))
            following = event.get("ContinuationSequenceNumber")
            following = None if following is None else sequence_number(following)
            records, read_to = await self._kinesis.opened(self._shard, event["Records"])
            return Answer(
                records,
                None if children else following,
                number(event["MillisBehindLatest"]) / 1000,
                ended=children,  # only at the end; emulators have a continuation beside, and no such shard any more
                read_to=read_to,
            )

    async def aclose(self) -> None:
        await self._subscription.aclose()


def _start(position: Position, continuation: str | None) -> Mapping[str, object]:
    """AT where it is not certain that the record with that number was read, all of it: repeats are left out later.

    A continuation is one that may be used with either (R-EFO-3).
    """
    if continuation is not None:
        return {"Type": "AT_SEQUENCE_NUMBER", "SequenceNumber": continuation}
    if position.sequence_number is not None:
        kind = "AFTER_SEQUENCE_NUMBER" if position.inner is None else "AT_SEQUENCE_NUMBER"
        return {"Type": kind, "SequenceNumber": position.sequence_number}
    if position.timestamp is not None:  # a datetime keeps its milliseconds on the wire (R-POS-4)
        return {"Type": "AT_TIMESTAMP", "Timestamp": datetime.fromtimestamp(position.timestamp, UTC)}
    return {"Type": "TRIM_HORIZON"}
