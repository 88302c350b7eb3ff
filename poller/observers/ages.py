"""How far behind each held shard is, at any moment: this file is the arithmetic of ages, computed when it is asked for.

An age that is only set when something happens stands still, or shows 0, exactly when a shard is stuck, paused or cannot
be read. Here only moments are kept, and an age is the distance from a moment to now, so it grows by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from poller.events import (
    CheckpointSaved,
    Event,
    LeaseTaken,
    LeaseWasLost,
    PageRead,
    RecordsSettled,
    ShardFinished,
    ShardReleased,
    ShardsListed,
    WorkerDraining,
)
from poller.model import Position, ShardId
from poller.ports import Clock

REST_SECONDS_MAX = 120.0
"""How long a shard that was released because of a trouble keeps its ages; longer than the longest rest of a shard."""


@dataclass(frozen=True, slots=True)
class Ages:
    """What is known of one shard; all in seconds.

    ``iterator_age``: age of the oldest record that was read and is not done. If there is none: the time since the last
    answer of the stream plus what the stream said it was behind then, so it is never 0 merely because nothing is read.
    Where the service does not say, an answer with records means that more may follow, no older than its last record.
    Before the first answer: the time since the lease was taken, the least that it can be.
    ``behind``: what the stream said it was behind, plus the time since; ``None`` where the service does not say.
    ``checkpoint_age``: how long something has been waiting for a checkpoint without one moving on; 0 if nothing waits.
    """

    mapping: str
    shard: ShardId
    iterator_age: float
    behind: float | None
    checkpoint_age: float


@dataclass(slots=True)
class _Moments:
    """Moments of one shard, epoch seconds; ``rests_since`` is set while this worker may take the shard again."""

    taken_at: float
    position: Position
    read_at: float | None = None
    behind_seconds: float | None = None
    newest_at: float | None = None
    oldest_at: float | None = None
    unsaved_since: float | None = None
    rests_since: float | None = None

    def iterator_age(self, now: float) -> float:
        if self.oldest_at is not None:
            return max(0.0, now - self.oldest_at)
        if self.read_at is None:
            return max(0.0, now - self.taken_at)
        if self.behind_seconds is None and self.newest_at is not None:
            return max(0.0, now - self.newest_at)
        return max(0.0, now - self.read_at) + (self.behind_seconds or 0.0)

    def behind(self, now: float) -> float | None:
        if self.read_at is None or self.behind_seconds is None:
            return None
        return max(0.0, now - self.read_at) + self.behind_seconds

    def checkpoint_age(self, now: float) -> float:
        return 0.0 if self.unsaved_since is None else max(0.0, now - self.unsaved_since)


class ShardAges:
    """Hears events and tells the ages of the shards that this worker holds.

    A shard is forgotten when it is finished, lost to another worker, or given back in a drain. One that was released
    for another reason failed, and will be taken again after a rest: its ages go on growing meanwhile, for
    `REST_SECONDS_MAX` at most, since metrics must not fall silent exactly when a shard fails.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._shards: dict[tuple[str, ShardId], _Moments] = {}
        self._draining = False

    def __call__(self, event: Event) -> None:
        match event:
            case PageRead() | RecordsSettled() | CheckpointSaved():
                moments = self._shards.get((event.mapping, event.shard))
                if moments is not None:  # else the lease was lost, and this is the last step of its reader
                    self._move(moments, event)
            case LeaseTaken():
                self._take(event)
            case ShardReleased():
                self._rest((event.mapping, event.shard))
            case ShardFinished() | LeaseWasLost():
                self._shards.pop((event.mapping, event.shard), None)
            case WorkerDraining():
                self._draining = True
            case ShardsListed():
                self._forget_rested()
            case _:
                pass

    def all(self) -> Iterator[Ages]:
        """The ages now, also of shards that rest. May be called from another thread: it only reads."""
        now = self._clock.now()
        for (mapping, shard), moments in list(self._shards.items()):
            if not _rested_long(moments, now):
                yield Ages(mapping, shard, moments.iterator_age(now), moments.behind(now), moments.checkpoint_age(now))

    def held(self) -> dict[str, int]:
        """How many leases this worker holds, by mapping; mappings without any are left out."""
        counts: dict[str, int] = {}
        for (mapping, _), moments in list(self._shards.items()):
            if moments.rests_since is None:
                counts[mapping] = counts.get(mapping, 0) + 1
        return counts

    def _take(self, event: LeaseTaken) -> None:
        key = (event.mapping, event.shard)
        now = self._clock.now()
        moments = self._shards.get(key)
        if moments is None or _rested_long(moments, now):
            self._shards[key] = _Moments(now, event.position)
        else:
            moments.rests_since = None

    def _move(self, moments: _Moments, event: PageRead | RecordsSettled | CheckpointSaved) -> None:
        now = self._clock.now()
        match event:
            case PageRead():
                moments.read_at = now - event.took_seconds
                moments.behind_seconds, moments.newest_at = event.behind_seconds, event.newest_at
                self._pend(moments, event.oldest_at, now)
            case RecordsSettled():
                self._pend(moments, event.oldest_pending_at, now)
            case CheckpointSaved():
                # The same position again is a note why the shard stands still, which must not look like progress.
                if event.position != moments.position and moments.unsaved_since is not None:
                    moments.unsaved_since = now
                moments.position = event.position

    def _pend(self, moments: _Moments, oldest_at: float | None, now: float) -> None:
        moments.oldest_at = oldest_at
        if oldest_at is None:
            moments.unsaved_since = None
        elif moments.unsaved_since is None:
            moments.unsaved_since = now

    def _rest(self, key: tuple[str, ShardId]) -> None:
        if self._draining:
            self._shards.pop(key, None)
        elif key in self._shards:
            self._shards[key].rests_since = self._clock.now()

    def _forget_rested(self) -> None:
        now = self._clock.now()
        self._shards = {key: moments for key, moments in self._shards.items() if not _rested_long(moments, now)}


def _rested_long(moments: _Moments, now: float) -> bool:
    return moments.rests_since is not None and now - moments.rests_since > REST_SECONDS_MAX
