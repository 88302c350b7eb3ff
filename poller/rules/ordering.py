"""Which lane a record takes, and how far a shard is done: this file keeps order where several batches are under way.

A lane is one of the ParallelizationFactor ways that work side by side on one shard. All records of one key take the
same lane, so that a lane that is stuck holds up its own keys only. Each lane has a position of its own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from zlib import crc32

from poller.model import Checkpoint, Position, Window, precedes
from poller.records import Record


def lane_of(ordering_key: str, lanes: int) -> int:
    """The lane of a key, the same for ever and everywhere, since positions in stores depend on it (R-PAR-3)."""
    return crc32(ordering_key.encode("utf-8", "surrogatepass")) % lanes


def by_lane(records: Sequence[Record], lanes: int) -> list[Sequence[Record]]:
    """The share of each lane, in order."""
    if lanes == 1:
        return [records]
    shares: list[list[Record]] = [[] for _ in range(lanes)]
    for record in records:
        shares[lane_of(record.ordering_key, lanes)].append(record)
    return list(shares)


class LaneProgress:
    """One lane: what it has taken, and what of that is not done yet.

    ``taken_to``: every record of the lane up to here was taken or is not wanted.
    """

    def __init__(self, start: Position) -> None:
        self.taken_to = start
        self._settled_to = start
        self._undone: deque[Record] = deque()
        self._missed_to: Position | None = None
        self._missed_at = 0.0

    @property
    def done_to(self) -> Position:
        """Every record of the lane up to here is done."""
        return self._settled_to if self._undone else self.taken_to

    @property
    def oldest(self) -> Record | None:
        """The oldest record that is not done."""
        return self._undone[0] if self._undone else None

    @property
    def oldest_at(self) -> float | None:
        """When the oldest record that is not done reached the stream, or a moment before; ``None`` if all is done."""
        if self._undone:
            return self._undone[0].arrived_at
        return None if self._missed_to is None else self._missed_at

    def take(self, wanted: Sequence[Record], to: Position) -> None:
        """The lane was read up to ``to``, and ``wanted`` is what it must deliver of it."""
        if not self._undone:
            self._settled_to = self.taken_to
        self._undone.extend(wanted)
        self.taken_to = to
        if self._missed_to is not None and not precedes(to, self._missed_to):
            self._missed_to = None
        elif wanted:
            self._missed_at = wanted[-1].arrived_at  # what it missed next is no older

    def pass_by(self, missed: Sequence[Record], to: Position) -> None:
        """The shard was read up to ``to`` while the lane could take nothing; ``missed`` are its records in that."""
        if missed and self._missed_to is None:
            self._missed_at = missed[0].arrived_at
        if missed and (self._missed_to is None or precedes(self._missed_to, to)):
            self._missed_to = to

    def settle(self, done: Sequence[Record]) -> None:
        """The oldest records of the lane, of those that it took, are done."""
        if not done:
            return
        assert self._undone[0] is done[0], "records are settled in order"
        assert self._undone[len(done) - 1] is done[-1], "and all of them"
        if len(done) == len(self._undone):
            self._undone.clear()
        else:
            for _ in done:
                self._undone.popleft()
        self._settled_to = done[-1].position


class Progress:
    """How far a shard is done: the one value from which its checkpoints are made.

    ``window`` is the tumbling window that is open, if there are windows; they need a single lane (R-PAR-6).
    """

    def __init__(self, saved: Checkpoint, lanes: int, *, by_inner_keys: bool = False) -> None:
        """Goes on from ``saved`` with so many lanes.

        If those were of another number, all of the new ones begin at the lowest position, and what the old ones did
        beyond it is remembered: a key keeps its order, and nothing is repeated (R-STATE-14). It is forgotten, and
        repeated, if records are dealt out by other keys than before.
        """
        if saved.by_inner_keys != by_inner_keys:
            saved = replace(saved, lanes=(), earlier=())
        self._by_inner_keys = by_inner_keys
        same = len(saved.lanes) == lanes
        self.lanes = tuple(LaneProgress(start) for start in (saved.lanes if same else (saved.position,) * lanes))
        self._earlier = saved.earlier if same or not saved.lanes else (saved.lanes, *saved.earlier)
        self.window: Window | None = saved.window
        self._arrived_at = saved.arrived_at

    @property
    def position(self) -> Position:
        """Everything up to here is done, in every lane."""
        return _lowest([lane.done_to for lane in self.lanes])

    def without_done(self, records: Sequence[Record]) -> Sequence[Record]:
        """Those that no lane of earlier settings has done; mostly there were none."""
        if not self._earlier:
            return records
        return [record for record in records if not any(_did(positions, record) for positions in self._earlier)]

    @property
    def oldest_at(self) -> float | None:
        """When the oldest record that is not done reached the stream, epoch seconds; ``None`` if all is done."""
        return min((lane.oldest_at for lane in self.lanes if lane.oldest_at is not None), default=None)

    def settle(self, lane: int, done: Sequence[Record]) -> None:
        self.lanes[lane].settle(done)
        if done:
            self._arrived_at = done[-1].arrived_at

    def checkpoint(self, outcome: str) -> Checkpoint:
        """What to save; ``outcome`` is the last word on a batch. Lanes that are equally far need no positions."""
        positions = tuple(lane.done_to for lane in self.lanes)
        lowest = _lowest(positions)
        self._earlier = tuple(each for each in self._earlier if any(precedes(lowest, position) for position in each))
        lanes = positions if any(position != lowest for position in positions) else ()
        return Checkpoint(
            lowest, self._arrived_at, outcome, lanes, self._earlier, self.window, by_inner_keys=self._by_inner_keys
        )


def _did(positions: Sequence[Position], record: Record) -> bool:
    """Whether lanes at these positions have done a record."""
    return record.place <= positions[lane_of(record.ordering_key, len(positions))].place


def _lowest(positions: Sequence[Position]) -> Position:
    return min(positions, key=lambda position: position.place)
