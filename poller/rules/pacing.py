"""How long to wait: this file is the arithmetic of backoff and of polling, with randomness as an argument."""

from __future__ import annotations

from dataclasses import dataclass


def backoff_seconds(failures: int, jitter: float, *, base: float = 0.2, cap: float = 60.0) -> float:
    """The pause after a failure that ``failures`` others preceded: ``base`` doubling up to ``cap`` (R-RETRY-3).

    ``jitter`` in [0, 1) lengthens it by up to a tenth, so that many shards that failed together come back apart.
    """
    doublings = min(failures, 40)  # far beyond any cap, and no overflow
    return float(min(cap, base * 2**doublings)) * (1 + 0.1 * jitter)


TICK_SECONDS = 0.025
"""Every pause of an idle shard is a whole number of these, so that rounding to one does not change the pace."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How a service wants its shards read; seconds from the start of one call to the start of the next.

    ``iterator_seconds`` is the age at which an iterator is replaced before it expires (R-KIN-3, R-DDB-2).
    """

    idle_seconds: float
    busy_seconds: float
    iterator_seconds: float

    def due_at(self, asked_at: float, records: int, behind_seconds: float | None) -> float:
        """When to call again after an answer of ``records``: soon while there is more to read (R-KIN-1, R-DDB-1).

        Where the service tells no lag, an answer that held records promises more. Calls that have time are made at the
        nearest tick, those of many shards together: to wake up is half of what an idle poll costs.
        """
        behind = records > 0 if behind_seconds is None else behind_seconds > 0
        if behind:
            return asked_at + self.busy_seconds
        return round((asked_at + self.idle_seconds) / TICK_SECONDS) * TICK_SECONDS


KINESIS = Pace(idle_seconds=1.0, busy_seconds=0.205, iterator_seconds=270.0)
"""R-KIN-1; under the 5 calls a second and shard of R-KIN-2, and with 30 s to spare of an iterator's 5 minutes."""

KINESIS_BYTES_PER_SECOND = 2 * 1024 * 1024
"""Of data and partition keys, from a shard: who got more must wait, and is refused if it does not (R-KIN-2)."""

DYNAMODB = Pace(idle_seconds=0.25, busy_seconds=0.1, iterator_seconds=840.0)
"""R-DDB-1; an iterator lives 15 minutes (R-DDB-2)."""


FEW_RECORDS_MIN = 500
"""Five times a second, these are more than the thousand that a shard may be given in a second."""


def few_records(batch_size: int, lanes: int) -> int:
    """How many an answer shall hold while memory is short: a batch for each lane, and enough to keep up with a shard.

    Others may hold the memory for hours, and who holds nothing must not fall behind for them.
    """
    return max(batch_size * lanes, FEW_RECORDS_MIN)


def counted_bytes(characters: int) -> int:
    """What Kinesis counts of records with so many characters of base64 and keys: three quarters, about."""
    return characters * 3 // 4


@dataclass(frozen=True, slots=True)
class SubscriptionPace:
    """How a service wants its shards subscribed to, in seconds.

    ``call_seconds`` lie between two calls for a shard, ``takeover_seconds`` between one that was accepted and the next
    that can be. A subscription is replaced after ``life_seconds``, and given up when silent for ``silence_seconds``.
    """

    call_seconds: float
    takeover_seconds: float
    life_seconds: float
    silence_seconds: float


FANOUT = SubscriptionPace(call_seconds=1.0, takeover_seconds=5.0, life_seconds=290.0, silence_seconds=30.0)
"""R-EFO-2; the service ends a subscription after 5 minutes, and speaks every 5 s even if there is nothing new."""
