"""What a run must have seen to prove anything: this file is the table of faults and recoveries that must have met.

A run of `FULL_SEEDS` worlds is invalid if one of the pairs was not seen `TIMES`; a shorter run is asked in proportion.
"""

from __future__ import annotations

from collections import Counter
from itertools import product

from tests.simulation.faults import CAPS

FULL_SEEDS = 20_000
TIMES = 20

HAPPENINGS = (
    "crash",
    "pause",
    "stop",
    "clock jumps",
    "split",
    "merge",
    "rotate",
    "trim",
    "retention",
    "store away",
    "stream away",
    "function away",
    "destination away",
    "stream made anew",
    "store restored",
)
"""What befalls everybody, beside the faults of single calls in `CAPS`."""

RECOVERIES = (
    "batch divided",
    "batch handled after failures",
    "batch retried",
    "checkpoint saved after failures",
    "discarded: RetryAttemptsExhausted",
    "gap told",
    "lease lost",
    "listed after failures",
    "part of a batch handled",
    "read on after failures",
    "report taken",
    "shard finished",
    "shard released",
    "shard taken at its start",
    "shard taken in its middle",
    "shards found",
)
"""The ways that each of them must have been followed by."""

RARER = (
    "discarded: RecordAgeExceeded",
    "discarded: RetentionExpired",
    "lane read behind the others",
    "read on with a new iterator",
    "records filtered",
    "report not taken",
    "stream replaced",
    "window closed",
    "window given up",
    "worker drained",
    "worker stopped in haste",
)
"""Those that cannot follow everything, and must have been seen as such."""

NEVER_MET = {("store restored", "lease lost")}
"""No worker is alive when somebody puts an older store in place."""

PAIRS = tuple(pair for pair in product((*CAPS, *HAPPENINGS), RECOVERIES) if pair not in NEVER_MET)


def never(seen: Counter[str]) -> list[str]:
    """What no world saw, not even alone: a few hundred see each of them."""
    return [what for what in (*CAPS, *HAPPENINGS, *RECOVERIES, *RARER) if not seen[what]]


def missing(seen: Counter[str], pairs: Counter[tuple[str, str]], seeds: int) -> list[str]:
    """What ``seeds`` worlds saw too seldom."""
    least = TIMES * seeds // FULL_SEEDS
    short = [
        f"{fault} x {recovery}: {pairs[fault, recovery]}" for fault, recovery in PAIRS if pairs[fault, recovery] < least
    ]
    return short + [f"{what}: {seen[what]}" for what in RARER if seen[what] < least]
