"""Mistakes that few worlds can see: this file is bugs whose seeds are kept, as no search of some hundred finds them."""

from __future__ import annotations

from poller.engine import lanes


def a_lane_that_fell_behind_is_given_of_a_later_stream(patch):
    """Its shard has ended, and the stream's name is another one's since: found by one world in twenty thousand."""

    def as_if_it_went_on(self, page, start):
        ended, self._front.ended = self._front.ended, False
        take_in(self, page, start)
        self._front.ended = ended

    take_in = lanes.Lanes.take_in
    patch.setattr(lanes.Lanes, "take_in", as_if_it_went_on)
