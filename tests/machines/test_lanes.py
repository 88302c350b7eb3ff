"""Lanes and how far they are, against a set of what is done: through restarts with any number of lanes.

Some records are inner ones of an aggregate, which have one sequence number. Some are unwanted. A lane may refuse a page
that the front of the reading brings, and read it later, as the engine's full lanes do.
"""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from poller.model import TRIM_HORIZON, Checkpoint, SequenceNumber, precedes
from poller.records import RenderedRecord
from poller.rules.ordering import Progress, by_lane
from tests.machines.running import profile

LANES = st.integers(1, 4)
SHARD = st.lists(
    st.lists(st.tuples(st.sampled_from("abcdefg"), st.booleans()), min_size=1, max_size=3), min_size=1, max_size=14
)
"""Sequence numbers, each with the keys of its records, and whether they are wanted."""


def records_of(shard):
    for number, inner in enumerate(shard, 1):
        for index, (key, wanted) in enumerate(inner):
            last = index == len(inner) - 1
            body = b"wanted" if wanted else b"unwanted"
            yield RenderedRecord(SequenceNumber(str(number)), key, float(number), body, None if last else index)


class Lanes(RuleBasedStateMachine):
    """What is saved is done, nothing that was saved as done comes again, and nothing is left out."""

    @initialize(shard=SHARD, lanes=LANES)
    def begin(self, shard, lanes):
        self.shard = list(records_of(shard))
        self.saved = Checkpoint(TRIM_HORIZON)
        self.done = set()  # places of records, by those who work now
        self.saved_done = set()
        self.settled = []
        self.start(lanes)

    def start(self, lanes):
        self.progress = Progress(self.saved, lanes)
        self.front = self.progress.position
        self.waiting = [[] for _ in self.progress.lanes]
        self.done = set(self.saved_done)

    def take(self, page, start, refused=()):
        """As the engine deals out a page that begins at ``start``."""
        end = page[-1].position
        for number, (lane, share) in enumerate(
            zip(self.progress.lanes, by_lane(page, len(self.progress.lanes)), strict=True)
        ):
            if precedes(lane.taken_to, start) or not precedes(lane.taken_to, end) or number in refused:
                continue
            fresh = self.progress.without_done([each for each in share if each.place > lane.taken_to.place])
            wanted = [each for each in fresh if each.body == b"wanted"]
            assert not {each.place for each in wanted} & self.saved_done, "what was done is taken again"
            lane.take(wanted, end)
            self.waiting[number] += wanted
            self.done |= {each.place for each in fresh if each.body != b"wanted"}

    def behind(self, position, size):
        return [each for each in self.shard if each.place > position.place][:size]

    @rule(size=st.integers(1, 8), refused=st.sets(st.integers(0, 3), max_size=3))
    def read(self, size, refused):
        page = self.behind(self.front, size)
        if page:
            self.take(page, self.front, refused)
            self.front = page[-1].position

    @rule(size=st.integers(1, 8))
    def read_again_for_who_is_behind(self, size):
        start = min((lane.taken_to for lane in self.progress.lanes), key=lambda position: position.place)
        page = [each for each in self.behind(start, size) if each.place <= self.front.place]
        if page and precedes(start, self.front):
            self.take(page, start)

    @rule(lane=st.integers(0, 3), size=st.integers(0, 3))
    def settle(self, lane, size):
        lane %= len(self.waiting)
        done, self.waiting[lane] = self.waiting[lane][:size], self.waiting[lane][size:]
        self.progress.settle(lane, done)
        self.done |= {each.place for each in done}
        self.settled += done

    @rule()
    def save(self):
        saved = self.progress.checkpoint("")
        assert not precedes(saved.position, self.saved.position), "the checkpoint went back"
        self.saved, self.saved_done = saved, set(self.done)

    @rule(lanes=LANES)
    def restart(self, lanes):
        """What was done and not saved is forgotten, and comes again."""
        self.start(lanes)

    @rule(lanes=LANES)
    def stop_and_restart(self, lanes):
        self.save()
        self.start(lanes)

    @invariant()
    def it_is_never_ahead(self):
        if not hasattr(self, "progress"):
            return
        reached = self.progress.position.place
        assert {each.place for each in self.shard if each.place <= reached} <= self.done
        for number, lane in enumerate(self.progress.lanes):
            own = by_lane(self.shard, len(self.progress.lanes))[number]
            assert {each.place for each in own if each.place <= lane.done_to.place} <= self.done
        undone = [each.arrived_at for waiting in self.waiting for each in waiting]
        assert self.progress.oldest_at == min(undone, default=None)

    def teardown(self):
        """To the end of the shard: all that is wanted was settled, and that of a key in its order."""
        if not hasattr(self, "progress"):
            return
        for _ in self.shard * 5:
            self.read(8, set())
            self.read_again_for_who_is_behind(8)
            for lane in range(len(self.waiting)):
                self.settle(lane, 3)
        self.save()
        assert self.progress.position.place == self.shard[-1].place
        assert (self.saved.lanes, self.saved.earlier) == ((), ()), "what is not needed any more is kept"
        wanted = [each for each in self.shard if each.body == b"wanted"]
        assert {each.place for each in self.settled} == {each.place for each in wanted}
        for key in {each.ordering_key for each in wanted}:
            own = [each.place for each in wanted if each.ordering_key == key]
            seen = set()
            for each in self.settled:
                if each.ordering_key == key:
                    assert set(own[: own.index(each.place)]) <= seen, "a record was passed over"
                    seen.add(each.place)


TestLanes = Lanes.TestCase
TestLanes.settings = profile(400, 30)
