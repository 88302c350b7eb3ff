"""How far a shard was read: this file is what lets no record come twice from one reading, and none be left out."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from operator import itemgetter, lt

from poller.model import Position, precedes
from poller.records import Record


class ReadTo:
    """A ``position`` in a shard that moves over what is read.

    Records that arrived before ``skip_before`` (epoch seconds) are left out until the first one that did not. Until
    then the position stays: if it moved and were lost, who begins anew would not know what to leave out. Only
    ``iterator_at``, where an iterator is to begin, moves over them. ``left_out_at`` is that of a `poller.records.Page`
    of the records that came last; an answer that only holds what was read before, as one that is given twice, does not
    say that nothing more is there either.
    """

    def __init__(self, position: Position, skip_before: float | None = None) -> None:
        self.position = position
        self._skip_before = skip_before
        self._left_out_to: Position | None = None
        self.left_out_at: float | None = None

    @property
    def iterator_at(self) -> Position:
        return self.position if self._left_out_to is None else self._left_out_to

    def start_anew(self) -> None:
        """What was left out last is no longer there to begin behind it."""
        self._left_out_to = None

    def unread(self, records: Sequence[Record]) -> tuple[Record, ...]:
        """Those behind the position, in order; it moves over them all, unless all are left out.

        Numbers compare as such (R-KIN-10), then the index in an aggregate. An answer out of order, which no service
        should give, loses nothing.
        """
        self.left_out_at = None
        if not records:
            return ()
        if self._skip_before is None and in_order(records) and self.position.place < records[0].place:
            self.position = records[-1].position
            return tuple(records)
        unread = []
        last, newest = self.position.place, None
        for place, record in sorted(((record.place, record) for record in records), key=itemgetter(0)):
            if place <= last:
                continue
            last, newest = place, record
            if self._skip_before is not None and record.arrived_at < self._skip_before:
                continue
            self._skip_before = None
            unread.append(record)
        if newest is None:
            self.left_out_at = max(record.arrived_at for record in records)
            return ()
        if self._skip_before is None:
            self.position, self._left_out_to = newest.position, None
        else:
            self._left_out_to = newest.position
            self.left_out_at = max(newest.arrived_at, self._skip_before)
        return tuple(unread)

    def beyond(self, reached: Position | None) -> Position | None:
        """How far an answer reaches, taken over if that is beyond all that was read; else ``None``."""
        if reached is None or not precedes(self.position, reached):
            return None
        self.position = reached
        return reached


def in_order(records: Sequence[Record]) -> bool:
    """Whether each is behind the one before it, seen without a look at what the numbers are worth.

    So it is with numbers of one length, as those of a shard mostly are: then their texts compare as they do.
    """
    numbers = [record.sequence_number for record in records]
    return len(set(map(len, numbers))) == 1 and all(map(lt, numbers, islice(numbers, 1, None)))
