"""Tumbling windows: this file is their borders, the state that is carried on, and when they are over."""

from __future__ import annotations

import json
from dataclasses import replace

from poller.invocation import Chunk, Closing, Condition, FunctionFailed, Outcome, PayloadTooLarge, Succeeded, Verdict
from poller.model import Window
from poller.records import Record

GRACE_SECONDS = 120.0
"""How long after its end a window waits for stragglers if nothing follows (R-WIN-8); more loses none, and Lambda was
recorded to wait as long."""

STATE_BYTES_MAX = 1024 * 1024
"""R-WIN-10."""

NO_STATE = b"{}"
"""What a window begins with (R-WIN-6)."""


def window_for(head: Record, current: Window | None, seconds: int) -> Window:
    """The window of the oldest record that waits.

    A record that is older than the open window belongs to it all the same, and one of a window that is over to the
    next: no window opens twice (R-WIN-14).
    """
    if current is not None and current.opened:
        assert head.arrived_at < current.end, "the open window is closed first"
        return current
    at = head.arrived_at if current is None else max(head.arrived_at, current.start)
    start = int(at // seconds * seconds)  # aligned to the epoch (R-WIN-2)
    return Window(start, start + seconds)


def due_closing(
    window: Window | None, head: Record | None, now: float, *, ended: bool, caught_up_at: float
) -> Closing | None:
    """The invocation without records that must come before anything else (R-WIN-7, R-WIN-8, R-WIN-10).

    ``now`` is epoch seconds, as is ``caught_up_at``: when the stream last said that nothing more is there.
    """
    if window is None or not window.opened:  # an empty window makes no invocation (R-WIN-9)
        return None
    if grown_too_large(window):
        return Closing(window, now, early=True)
    over = head is not None and head.arrived_at >= window.end
    idle = head is None and (ended or caught_up_at >= window.end + GRACE_SECONDS)
    return Closing(window, now) if over or idle else None


def grown_too_large(window: Window) -> bool:
    """Whether an invocation must take the state away, which is too large to be carried on (R-WIN-10)."""
    return len(window.state) > STATE_BYTES_MAX


def state_is_in_the_way(window: Window, size: int, bytes_max: int) -> bool:
    """Whether an event of ``size`` bytes would fit into ``bytes_max`` without the state, which is handed over first."""
    return window.opened and size > bytes_max >= size - len(window.state) + len(NO_STATE)


def with_state(outcome: Outcome, state_bytes_max: int) -> Outcome:
    """An answer without ``state`` is a failed invocation (R-WIN-5), as is one whose state fits in no event.

    Kept, it could never be taken away again.
    """
    if not isinstance(outcome, Succeeded):
        return outcome
    state = _state(outcome.answer)
    if state is None:
        return FunctionFailed("the answer has no state", outcome.response)
    if len(state) > state_bytes_max:
        problem = f"the answer's state has {len(state)} bytes, and {state_bytes_max} fit in an event"
        return FunctionFailed(problem, outcome.response)
    return outcome


def following(window: Window, chunk: Chunk, outcome: Outcome | None, verdict: Verdict) -> Window:
    """The window after an attempt; ``outcome`` is ``None`` if nothing was invoked.

    A returned state counts only if there was progress, and a discard leaves the state as it was (R-WIN-5, R-WIN-11).
    """
    if chunk.closing is not None:
        if verdict.pending:
            return window
        return replace(window, state=NO_STATE) if chunk.closing.early else Window(window.end, window.end)
    exhausted = verdict.condition is Condition.RETRY_ATTEMPTS_EXHAUSTED
    invoked = bool(verdict.settled) or (exhausted and not isinstance(outcome, PayloadTooLarge))
    state = _state(outcome.answer) if verdict.settled and isinstance(outcome, Succeeded) else None
    return replace(window, state=state or window.state, opened=window.opened or invoked)


def _state(answer: bytes) -> bytes | None:
    """The ``state`` of an answer as compact JSON; ``None`` if it has none, or null."""
    try:
        said = json.loads(answer)
        state = said.get("state") if isinstance(said, dict) else None
        return None if state is None else _compact(state)
    except (ValueError, RecursionError):  # no JSON, or nothing that JSON could say again
        return None


def _compact(state: object) -> bytes:
    text = json.dumps(state, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    try:
        return text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can spell and UTF-8 cannot
        return json.dumps(state, separators=(",", ":"), allow_nan=False).encode()
