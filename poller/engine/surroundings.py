"""What all that works on one shard shares: this file is the names and the senses of its parts."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from poller.engine.memory import Budget, Holding
from poller.model import ShardId
from poller.ports import Clock, Observer


@dataclass(frozen=True, slots=True)
class Surroundings:
    """``mapping`` is its label, for events; ``observer``, ``clock`` and ``random`` are those of the worker.

    ``memory`` is what its records take while they wait.
    """

    mapping: str
    shard: ShardId
    observer: Observer
    clock: Clock
    random: Random
    memory: Holding = field(default_factory=lambda: Holding(Budget()))
