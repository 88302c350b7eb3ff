"""Whether a shard has one owner, and what a change of owners costs: this file judges the promises I6 and I7.

I6 fencing: only the lease in force changes a checkpoint; an owner whose lease was taken may at most send the batch of
   each lane that it was about to send.
I7 bounded repetition: what a function said to have done is repeated only after a change of owners, at most a batch
   a lane for each, and never after a drain that came to its end.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.history import entries
from tests.history.promises import Judge


@dataclass(slots=True, eq=False)
class _Tenure:
    """One worker's time with a shard."""

    worker: str
    shard: str
    token: int
    until: float | None = None  # when another one took the shard
    released: bool = False
    lost: bool = False
    late: int = 0  # batches sent after ``until``
    of_another_stream: bool = False  # the owner hears of that with its next renewal or save
    repeated: set[int] = field(default_factory=set)


@dataclass(slots=True)
class OwnershipJudge(Judge):
    _in_force: dict[str, _Tenure] = field(default_factory=dict)
    _last: dict[tuple[str, str], _Tenure] = field(default_factory=dict)
    _all: list[_Tenure] = field(default_factory=list)
    _sent: dict[str, _Tenure] = field(default_factory=dict)
    _done_by: dict[int, _Tenure] = field(default_factory=dict)
    _most: dict[str, tuple[int, int]] = field(default_factory=dict)
    _drained: set[str] = field(default_factory=set)
    _restored: bool = False
    _remade: bool = False

    def started(self, entry: entries.Started) -> None:
        self._most[entry.worker] = (entry.lanes, entry.batch_size)

    def stopped(self, entry: entries.Stopped) -> None:
        if entry.drained:
            self._drained.add(entry.worker)

    def leased(self, entry: entries.Leased) -> None:
        before = self._in_force.get(entry.shard)
        if before is not None:
            before.until = entry.at
        tenure = _Tenure(entry.worker, entry.shard, entry.token)
        self._in_force[entry.shard] = self._last[entry.worker, entry.shard] = tenure
        self._all.append(tenure)

    def lost(self, entry: entries.Lost) -> None:
        tenure = self._last.get((entry.worker, entry.shard))
        if tenure is not None:
            tenure.lost = True

    def released(self, entry: entries.Released) -> None:
        tenure = self._in_force.get(entry.shard)
        if tenure is not None and (tenure.worker, tenure.token) != (entry.worker, entry.token):
            self.broken(entry, f"I6 {entry.shard}: {entry.worker} gave back a lease that is {tenure.worker}'s")
        if tenure is not None:
            tenure.released = True

    def remade(self, entry: entries.Remade) -> None:
        self._remade = True

    def began(self, entry: entries.Began) -> None:
        """Another stream's row may have been here, by which some of this stream was read."""
        before = self._in_force.pop(entry.shard, None)
        if before is not None and self._remade:
            before.of_another_stream = True
            self._done_by = {number: by for number, by in self._done_by.items() if by.shard != entry.shard}

    def restored(self, entry: entries.Restored) -> None:
        """An older copy of the store knows older leases and positions: whatever follows is its doing."""
        self._restored = True
        self._in_force.clear()

    def saved(self, entry: entries.Saved) -> None:
        tenure = self._in_force.get(entry.shard)
        if tenure is not None and (tenure.worker, tenure.token) != (entry.worker, entry.token):
            self.broken(entry, f"I6 {entry.shard}: {entry.worker} moved the checkpoint of {tenure.worker}")

    def attempted(self, entry: entries.Attempted) -> None:
        tenure = self._last.get((entry.worker, entry.shard))
        if tenure is not None:
            self._sent[entry.request_id] = tenure
        if tenure is None or tenure.of_another_stream or self._restored:
            return
        lanes, _ = self._most[entry.worker]
        if tenure.until is not None and entry.sent_at > tenure.until:
            tenure.late += 1
            if tenure.late > lanes:
                self.broken(entry, f"I6 {entry.shard}: {entry.worker} goes on although its lease was taken")
            return
        for number in entry.numbers:
            before = self._done_by.get(number)
            if before is not None:
                self._repeated(entry, number, before, tenure)

    def _repeated(self, entry: entries.Attempted, number: int, before: _Tenure, now: _Tenure) -> None:
        if before is now:
            self.broken(entry, f"I7 {entry.shard}: {number} was done, and is repeated by the same owner")
        elif before.token < now.token:
            lanes, batch_size = self._most[before.worker]
            before.repeated.add(number)
            if len(before.repeated) > lanes * batch_size:
                self.broken(
                    entry,
                    f"I7 {entry.shard}: {len(before.repeated)} records that {before.worker} had done are repeated, "
                    f"it had {lanes} lanes with batches of {batch_size}",
                )

    def answered(self, entry: entries.Answered) -> None:
        """To the one that asked: its worker may have lost the shard since, and taken it again."""
        tenure = self._sent.get(entry.request_id)
        if tenure is not None:
            for number in entry.numbers:
                self._done_by.setdefault(number, tenure)

    def at_the_end(self) -> None:
        for tenure in self._all:
            given_back = tenure.released and not tenure.lost and tenure.worker in self._drained
            if tenure.repeated and given_back and not self._restored:
                repeated = sorted(tenure.repeated)[:10]
                self.violations.append(f"I7 {tenure.shard}: {tenure.worker} had drained, yet {repeated} were repeated")
