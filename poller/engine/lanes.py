"""All lanes of a shard: this file deals out what is read, and says who may read on.

A lane that is full, as one whose batch fails again and again soon is, must hold up its own keys only. So the front
reads on as soon as another lane only waits for more. The full lane then takes nothing, falls behind the front, and gets
what it missed by a second reading, once it has room.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from anyio.lowlevel import checkpoint

from poller.engine.bell import Bell
from poller.engine.lane import Front, Lane
from poller.engine.surroundings import Surroundings
from poller.events import PageRead, RecordsFiltered
from poller.model import Position, precedes
from poller.records import Page, Record
from poller.rules.envelope import size_bytes
from poller.rules.filtering import Filters
from poller.rules.ordering import Progress, by_lane


class Lanes:
    """Deals pages out to ``lanes``; ``filters`` say what is wanted (R-FILT-2)."""

    def __init__(
        self,
        here: Surroundings,
        lanes: Sequence[Lane],
        *,
        progress: Progress,
        front: Front,
        bell: Bell,
        filters: Filters,
    ) -> None:
        self._here = here
        self._lanes = lanes
        self._progress = progress
        self._front = front
        self._bell = bell
        self._filters = filters

    @property
    def is_done(self) -> bool:
        """Whether the shard was read to its end, and every record of it is done."""
        return self._front.ended and all(lane.is_idle and not lane.is_behind for lane in self._lanes)

    def take_in(self, page: Page, start: Position) -> None:
        """Gives each lane its share of a page that begins at ``start``."""
        end, front = page.end or start, self._front
        if page.ended and precedes(end, front.read_to):
            end = front.read_to  # what the front saw beyond has left the stream, perhaps with the whole shard
        elif front.ended and precedes(front.read_to, end):
            # That was the shard's end: beyond it is a later stream of the same name, for lanes that may have left.
            page, end = _up_to(page, front.read_to), front.read_to
        moved, taken, filtered, size = False, 0, 0, 0
        moves = page.end is not None or page.ended  # most pages of an idle shard do not
        for lane, share in zip(self._lanes, by_lane(page.records, len(self._lanes)) if moves else (), strict=moves):
            fresh = self._progress.without_done(_after(share, lane.taken_to))
            # One that is behind the page's start would skip what lies between.
            if precedes(lane.taken_to, start) or (fresh and lane.is_full):
                lane.pass_by(fresh, end)
                continue
            if not precedes(lane.taken_to, end):
                continue
            wanted = self._filters.wanted(fresh)
            if len(wanted) < len(page.records):  # what waits must not keep all that came with it
                wanted = [record.by_itself() for record in wanted]
            wanted_bytes = lane.take(wanted, end)
            self._here.memory.take(wanted_bytes)
            moved = True
            taken += len(fresh)
            filtered += len(fresh) - len(wanted)
            size += wanted_bytes if len(wanted) == len(fresh) else size_bytes(fresh)
        self._tell(page, taken, filtered, size)
        if moved or page.ended or (page.caught_up and self._progress.window is not None):
            self._bell.ring()

    def front_reached(self, page: Page, end: Position) -> None:
        """The reading at the front has come to ``end`` with a page that will be taken in."""
        self._front.reached(page, end, self._here.clock.now())

    async def room_at_the_front(self) -> None:
        """Returns when the front may read on: all have room, or one of several only waits for more.

        If memory is short one of them must do so in any case, and a full one, for which all is then read twice, is
        passed by only for one that has nothing at all: less is read ahead, but no shard starves for what others hold.
        """
        if not all(lane.is_idle for lane in self._lanes):
            await checkpoint()  # the lanes first: without a window a batch is what one read gave (R-BATCH-3)
        while True:
            level = [lane for lane in self._lanes if not lane.is_behind]
            short, hungry = self._here.memory.is_short, any(lane.is_hungry for lane in level)
            passes_by = any(lane.is_idle for lane in level) if short else hungry
            if (hungry or not short) and (passes_by or not any(lane.is_full for lane in level)):
                return
            await self._bell.wait()

    async def someone_behind(self) -> Position | None:
        """Where a lane that fell behind, and has room now, must be read from; ``None`` if none will be any more."""
        while True:
            start = self.behind()
            if start is not None:
                return start
            if self._front.ended and not any(lane.is_behind for lane in self._lanes):
                return None
            await self._bell.wait()

    def goes_on_behind(self, page: Page, end: Position) -> bool:
        """Whether the reading behind the front, which has come to ``end``, is where it is needed."""
        start = self.behind()
        return not page.ended and start is not None and not precedes(start, end)

    def behind(self) -> Position | None:
        """The lowest position of those that are behind and have room."""
        hungry = [lane.taken_to for lane in self._lanes if lane.is_behind and not lane.is_full]
        return min(hungry, key=lambda position: position.place, default=None)

    def _tell(self, page: Page, taken: int, filtered: int, size: int) -> None:
        here = self._here
        behind, oldest_at = page.behind_seconds, self._progress.oldest_at
        newest_at = page.records[-1].arrived_at if page.records else page.left_out_at
        took = page.took_seconds
        here.observer(PageRead(here.mapping, here.shard, taken, size, behind, oldest_at, newest_at, took))
        if filtered:
            here.observer(RecordsFiltered(here.mapping, here.shard, filtered))


def _up_to(page: Page, end: Position) -> Page:
    """What of it comes before ``end``, and moves on to there."""
    return replace(page, records=tuple(record for record in page.records if record.place <= end.place), read_to=end)


def _after(share: Sequence[Record], position: Position) -> Sequence[Record]:
    """Mostly all of it."""
    if not share or position.place < share[0].place:
        return share
    place = position.place
    return [record for record in share if place < record.place]
