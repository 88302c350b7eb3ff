"""Whether every record came to its end, and in order: this file judges the promises I1 to I5, from the record's view.

I1 nothing lost: every record put is handled, or given up in words, or trimmed and reported as a gap; what no filter
   wants is not delivered; a destination has what it is said to have taken.
I2 order: a batch is attempted only when all before it, of its shard or (with several lanes) of its keys, is resolved.
I3 a checkpoint is never ahead of what is resolved.
I4 a checkpoint never goes back, unless somebody puts an older one in its place.
I5 no record of a child is attempted before its parents are resolved.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from tests.history import entries
from tests.history.ledger import number_of
from tests.history.promises import Judge


@dataclass(slots=True)
class DeliveryJudge(Judge):
    _remade_at: float = 0.0

    # What is put, and what is out of scope

    def put(self, entry: entries.Put) -> None:
        self.shards[entry.shard].put(entry.number, entry.key, entry.at)

    def unwanted(self, entry: entries.Unwanted) -> None:
        shard = self.shards[entry.shard]
        shard.resolved.add(entry.number)
        shard.unwanted.add(entry.number)

    def resharded(self, entry: entries.Resharded) -> None:
        for parent in entry.parents:
            self.shards[parent].closed = True
        for child in entry.children:
            self.shards[child].parents = entry.parents

    def began(self, entry: entries.Began) -> None:
        """A mapping that starts at a moment promises nothing of what was put before."""
        shard = self.shards[entry.shard]
        shard.readers.clear()
        made_at = self.promises.epoch + self._remade_at
        if shard.of_another_stream and entry.created_at is not None and entry.created_at < made_at:
            return  # as a listing said that is older than the stream
        if shard.began and not shard.of_another_stream:
            self.broken(entry, f"I4 {entry.shard}: its row was lost, and it begins again")
        shard.saved, shard.finished, shard.began, shard.of_another_stream = 0, False, True, False
        shard.leave_out(shard.trimmed)
        kind, _, value = entry.position.partition(":")
        if kind == "AT_TIMESTAMP":
            start = float(value) - self.promises.epoch
            shard.leave_out(number for number, at in shard.put_at.items() if at < start)
        elif kind == "SHARD_END":
            shard.leave_out(shard.all.numbers)
            shard.finished = True

    def leased(self, entry: entries.Leased) -> None:
        self.shards[entry.shard].readers.add(entry.worker)

    def trimmed(self, entry: entries.Trimmed) -> None:
        shard = self.shards[entry.shard]
        shard.trimmed.update(entry.numbers)
        if shard.gap_from is not None:
            shard.resolved.update(number for number in entry.numbers if number > shard.gap_from)
        if not shard.saved or shard.of_another_stream:  # no reader knows of what was gone before it read anything
            shard.leave_out(entry.numbers)

    def remade(self, entry: entries.Remade) -> None:
        """Who deletes a stream gives its records up; shards of the same names begin anew."""
        self._remade_at = entry.at
        for shard in self.shards.values():
            shard.leave_out(shard.all.numbers)
            shard.parents, shard.closed, shard.of_another_stream = (), False, True

    # What becomes of it

    def attempted(self, entry: entries.Attempted) -> None:
        shard, numbers = self.shards[entry.shard], entry.numbers
        if shard.gap_from is not None and numbers and numbers[-1] > shard.gap_from:
            shard.gap_from = None
        if not shard.unwanted.isdisjoint(numbers):
            self.broken(entry, f"I1 {entry.shard}: delivered although no filter wants it: {numbers}")
        if any(one >= two for one, two in pairwise(numbers)):
            self.broken(entry, f"I2 {entry.shard}: a batch out of order: {numbers}")
        for line, of_line in shard.lines(numbers, by_key=self.promises.by_key):
            waiting = line.first_open(shard.resolved)
            if waiting is not None and waiting < of_line[0]:
                self.broken(entry, f"I2 {entry.shard}: {of_line[0]} was attempted while {waiting} is unresolved")
            left_out = set(line.between(of_line[0], of_line[-1])).difference(of_line)
            if any(number not in shard.trimmed and number not in shard.resolved for number in left_out):
                self.broken(entry, f"I2 {entry.shard}: a batch with holes: {of_line} without {sorted(left_out)}")
        # Until its reader notices that the stream is another one, its shards are taken for the old ones.
        as_the_old_one = shard.of_another_stream or (self._remade_at > 0 and entry.worker not in shard.readers)
        for parent in shard.parents:
            if not self.shards[parent].done() and not as_the_old_one:
                self.broken(entry, f"I5 {entry.shard}: attempted while its parent {parent} is not done")

    def handled(self, entry: entries.Handled) -> None:
        self.shards[entry.shard].resolved.update(entry.numbers)

    def accepted(self, entry: entries.Accepted) -> None:
        self.shards[entry.shard].accepted.add((entry.first, entry.last))

    def discarded(self, entry: entries.Discarded) -> None:
        shard = self.shards[entry.shard]
        if entry.delivered and (entry.first, entry.last) not in shard.accepted:
            self.broken(entry, f"I1 {entry.shard}: no destination has {entry.first} to {entry.last}")
        gone = [number for number in entry.numbers if number in shard.key_of]
        shard.resolved.update(gone)
        shard.discarded.update(gone)

    def gap(self, entry: entries.Gap) -> None:
        shard = self.shards[entry.shard]
        after = number_of(entry.after)
        before = entry.resumed_at if entry.resumed_at is not None else max(shard.trimmed, default=0) + 1
        lost = [n for n in shard.all.numbers if after < n < before and n not in shard.resolved]
        untrue = [n for n in lost if n not in shard.trimmed]
        if untrue:
            self.broken(entry, f"I1 {entry.shard}: reported as trimmed, but still in the stream: {untrue[:10]}")
        shard.resolved.update(lost)
        shard.gap_from = after if entry.resumed_at is None else None

    # What the store says of it

    def saved(self, entry: entries.Saved) -> None:
        shard = self.shards[entry.shard]
        if shard.of_another_stream:
            return
        if entry.position == "SHARD_END":
            if not shard.done():
                self.broken(entry, f"I3 {entry.shard}: ended while {shard.first_open()} is unresolved")
            shard.finished = True
            return
        saved = number_of(entry.position)
        if shard.finished or saved < shard.saved:
            self.broken(entry, f"I4 {entry.shard}: the checkpoint went back from {shard.saved} to {entry.position}")
        waiting = shard.first_open()
        if waiting is not None and saved >= waiting:
            self.broken(entry, f"I3 {entry.shard}: the checkpoint {saved} is ahead of the unresolved {waiting}")
        shard.saved = max(saved, shard.saved)

    def restored(self, entry: entries.Restored) -> None:
        positions = dict(entry.positions)
        for name, shard in self.shards.items():
            position = positions.get(name, "")
            shard.began, shard.saved, shard.finished = bool(position), number_of(position), position == "SHARD_END"
            if not shard.saved:  # as if nothing had been read
                shard.leave_out(shard.trimmed)

    def at_the_end(self) -> None:
        for name, shard in self.shards.items():
            lost = [number for number in shard.all.numbers if number not in shard.resolved]
            if lost:
                self.violations.append(f"I1 {name}: neither handled nor reported: {lost[:10]} ({len(lost)} records)")
