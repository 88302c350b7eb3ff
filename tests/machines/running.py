"""How long machines run: this file is a short profile without chance, and a long one by ``POLLER_EXAMPLES``."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

EXAMPLES = int(os.environ.get("POLLER_EXAMPLES") or 0)
"""Of each machine; 0 is the short profile, which is the same each time."""


def profile(examples: int, steps: int = 50) -> settings:
    """``examples`` are those of the short profile."""
    return settings(
        max_examples=EXAMPLES or examples,
        stateful_step_count=steps,
        derandomize=not EXAMPLES,
        database=None,
        deadline=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
