"""What all that works on one shard shares: this file is the names and the senses of its parts."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from poller.model import ShardId
from poller.ports import Clock, Observer


@dataclass(frozen=True, slots=True)
class Surroundings:
    """``mapping`` is its label, for events; ``observer``, ``clock`` and ``random`` are those of the worker."""

    mapping: str
    shard: ShardId
    observer: Observer
    clock: Clock
    random: Random
