"""Mistakes of lanes: this file is bugs of what works side by side on one shard."""

from __future__ import annotations

from dataclasses import replace

from poller.engine import lanes
from poller.rules import ordering


def the_lane_that_is_furthest_makes_the_checkpoint(patch):
    patch.setattr(ordering, "_lowest", lambda positions: max(positions, key=lambda position: position.place))


def a_full_lane_forgets_what_it_did_not_take(patch):
    take_in = lanes.Lanes.take_in

    def forgetful(self, page, start):
        take_in(self, page, start)
        for each in self._lanes:
            if each.is_full and page.end is not None:
                each._progress.taken_to = max(each.taken_to, page.end, key=lambda position: position.place)

    patch.setattr(lanes.Lanes, "take_in", forgetful)


def keys_go_to_any_lane(patch):
    def dealt(records, count):
        return [records[number::count] for number in range(count)]

    patch.setattr(lanes, "by_lane", dealt)


def positions_of_other_lanes_taken_for_those_of_the_new_ones(patch):
    def mixed(self, saved, count):
        old = saved.lanes or (saved.position,)
        self.lanes = tuple(ordering.LaneProgress(old[number % len(old)]) for number in range(count))
        self._earlier, self.window, self._arrived_at = (), saved.window, saved.arrived_at

    patch.setattr(ordering.Progress, "__init__", mixed)


def what_a_lane_missed_is_sought_for_ever(patch):
    """It has left the stream: found by these worlds."""

    def take_in(self, page, start):
        whole(self, replace(page, ended=False), start)
        if page.ended:
            self._bell.ring()

    whole = lanes.Lanes.take_in
    patch.setattr(lanes.Lanes, "take_in", take_in)
