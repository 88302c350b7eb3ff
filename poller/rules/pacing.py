"""How long to wait: this file is the arithmetic of backoff, with randomness as an argument."""

from __future__ import annotations


def backoff_seconds(failures: int, jitter: float, *, base: float = 0.2, cap: float = 60.0) -> float:
    """The pause after a failure that ``failures`` others preceded: ``base`` doubling up to ``cap`` (R-RETRY-3).

    ``jitter`` in [0, 1) lengthens it by up to a tenth, so that many shards that failed together come back apart.
    """
    doublings = min(failures, 40)  # far beyond any cap, and no overflow
    return float(min(cap, base * 2**doublings)) * (1 + 0.1 * jitter)
