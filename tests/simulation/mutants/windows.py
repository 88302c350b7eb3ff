"""Mistakes about tumbling windows: this file is bugs of their state."""

from __future__ import annotations

from dataclasses import replace

from poller.rules import batching, ordering, windows


def the_state_of_a_window_kept_in_memory_only(patch):
    kept = ordering.Progress.checkpoint

    def without(self, outcome):
        return replace(kept(self, outcome), window=None)

    patch.setattr(ordering.Progress, "checkpoint", without)


def a_batch_that_mixes_windows(patch):
    patch.setattr(batching.Batcher, "fit", lambda self, frame_bytes, border: None)


def a_partial_success_leaves_the_state_as_it_was(patch):
    following = windows.following

    def forgetful(window, chunk, outcome, verdict):
        after = following(window, chunk, outcome, verdict)
        return replace(after, state=window.state) if verdict.settled and verdict.pending else after

    patch.setattr(windows, "following", forgetful)


def a_window_that_is_over_stays_open(patch):
    following = windows.following

    def open_still(window, chunk, outcome, verdict):
        after = following(window, chunk, outcome, verdict)
        return window if chunk.closing is not None and after.start != window.start else after

    patch.setattr(windows, "following", open_still)
