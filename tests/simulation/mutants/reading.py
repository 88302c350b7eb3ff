"""Mistakes of reading: this file is bugs of iterators, positions and gaps."""

from __future__ import annotations

from dataclasses import replace

import anyio
import anyio.lowlevel

from poller.engine import lane, lanes, reading
from poller.errors import PositionLost
from poller.model import TRIM_HORIZON, Position
from poller.sources.polling import ShardPolling
from poller.sources.read_to import ReadTo


def sequence_numbers_compared_as_text(patch):
    def unread(self, records):
        last = self.position.sequence_number or ""
        fresh = tuple(each for each in records if each.sequence_number > last)
        if fresh:
            self.position = Position.after(fresh[-1].sequence_number)
        return fresh

    patch.setattr(ReadTo, "unread", unread)


def the_position_after_a_record_is_one_too_far(patch):
    """AT and AFTER confused."""
    after = Position.after

    def too_far(sequence_number, inner=None):
        return after(str(int(sequence_number) + 1), inner)

    patch.setattr(Position, "after", staticmethod(too_far))


def missing_iterator_taken_for_the_end(patch):
    """node-KCL #25, kinesis-mock #413."""

    async def believed(self):
        return True

    patch.setattr(ShardPolling, "_is_closed", believed)


def the_last_records_of_a_shard_are_dropped(patch):
    """Telegraf: records and no next iterator in one answer."""
    page = ShardPolling._page

    async def without(self, answer):
        return await page(self, replace(answer, records=()) if answer.iterator is None else answer)

    patch.setattr(ShardPolling, "_page", without)


def expired_iterator_starts_at_the_oldest_record_and_forgets(patch):
    """async-kinesis, LocalStack."""
    ask = ShardPolling._ask

    async def forgetful(self):
        if self._iterator is None:
            self._iterator = "lost"
            self._iterator = await self._calls.iterator(self._shard, TRIM_HORIZON)
            self._iterator_at = self._asked_at
            self._read_to.position = TRIM_HORIZON
        return await ask(self)

    patch.setattr(ShardPolling, "_ask", forgetful)
    patch.setattr(reading, "_after", lambda page, read_to: page)
    patch.setattr(lanes, "_after", lambda share, position: share)


def expired_iterator_starts_at_the_newest_record(patch):
    """Tenzir PR 6188: rebuilt from the configured start, which silently skips."""
    failed = ShardPolling._failed

    def skipping(self, problem):
        failed(self, problem)
        if self._iterator is None:
            self._read_to.position = Position("AT_TIMESTAMP:9999999999")

    patch.setattr(ShardPolling, "_failed", skipping)


def an_iterator_is_used_for_ever(patch):
    """Benthos #139, FLINK-4514: the consumer never recovers from an expired one."""
    failed = ShardPolling._failed

    def stubborn(self, problem):
        kept = self._iterator
        failed(self, problem)
        self._iterator, self._iterator_at = kept, anyio.current_time()

    patch.setattr(ShardPolling, "_failed", stubborn)


def a_trimmed_position_is_tried_for_ever(patch):
    """LocalStack #12360."""

    async def again(self):
        position = TRIM_HORIZON if self._read_to.position is TRIM_HORIZON else self._read_to.position
        while True:
            try:
                self._iterator = self._iterator or await self._calls.iterator(self._shard, position)
                return await self._calls.records(self._shard, self._iterator)
            except PositionLost:
                self._iterator = None
                await anyio.sleep(1)

    patch.setattr(ShardPolling, "_ask", again)


def gaps_without_a_word(patch):
    """The DynamoDB Streams adapter jumps silently."""
    patch.setattr(reading.Cursor, "_tell_gap", lambda self, problem, page: None)


def what_does_not_fit_is_dropped(patch):
    """async-kinesis: a queue that is full loses what comes."""
    take = lane.Lane.take

    def lossy(self, wanted, to):
        take(self, wanted[: self._ahead_records], to)

    patch.setattr(lane.Lane, "take", lossy)


def what_is_left_out_is_read_again_and_again(patch):
    """A shard of nothing else never ends, and its children wait for its records to be trimmed."""
    patch.setattr(ReadTo, "iterator_at", property(lambda self: self.position))


def nothing_holds_the_reading_back(patch):
    async def room(self):
        await anyio.lowlevel.checkpoint()

    patch.setattr(lanes.Lanes, "room_at_the_front", room)
    patch.setattr(lane.Lane, "is_full", property(lambda self: False))
