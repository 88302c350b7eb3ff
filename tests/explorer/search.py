"""Every state of a world, once: this file is the search, and the way to what it found."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from poller.model import Row, ShardId
from poller.rules.lineage import starting_checkpoint, unknown
from tests import builders
from tests.explorer.shard import ShardLife
from tests.explorer.state import Move, ShardState
from tests.explorer.worker import created
from tests.explorer.world import WORKERS, World
from tests.virtual import EPOCH

BITS = 20
MASK = (1 << BITS) - 1
"""A shard's part of the integer that is a state of the world; the faults so far stand above those of all shards."""


@dataclass(slots=True)
class Found:
    """What a search came to; ``trace`` leads in as few steps as can be to the promise that is ``broken``.

    ``exhausted``: there are no more states than these. ``ends``: so many of them are states in which all is done.
    """

    world: str
    states: int = 0
    steps: int = 0
    seconds: float = 0.0
    exhausted: bool = False
    ends: int = 0
    broken: str = ""
    trace: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Steps:
    """What may happen to one shard in one state, each step as the difference that it makes to the world's state."""

    free: list[int] = field(default_factory=list)
    faulty: list[int] = field(default_factory=list)
    attempts: list[int] = field(default_factory=list)
    broken: dict[int, str] = field(default_factory=dict)
    texts: dict[int, str] = field(default_factory=dict)
    calm: tuple[int, int] = (0, 0)


class Search:
    """Breadth first, from a stream whose first shards are known; ``heeds`` are the promises that are looked at."""

    def __init__(self, world: World, heeds: Callable[[str], bool] = bool) -> None:
        self._world = world
        self._heeds = heeds
        self._life = ShardLife(world)
        self._names = list(world.family)
        self._shifts = [BITS * index for index in range(len(self._names))]
        self._fault = 1 << BITS * len(self._names) if world.faults_max is not None else 0
        self._most = (world.faults_max or 0) * self._fault
        self._parents = [[self._names.index(parent) for parent in parents] for parents in world.family.values()]
        self._steps: list[dict[int, Steps]] = [{} for _ in self._names]
        self._gates: dict[tuple[int, ...], list[bool]] = {}
        self._rows: list[int] = []
        self._row_numbers: dict[Row | None, int] = {}
        self._together: dict[tuple[str, int], int] = {}
        self._previous: dict[int, int] | None = None
        self.visited: set[int] = set()

    def run(self, states_max: int = 10**9) -> Found:
        """Visits every state, or so many, or those up to the first broken promise."""
        found, started = Found(self._world.name), time.perf_counter()
        frontier = [self._start()]
        self.visited = set(frontier)
        while frontier and len(self.visited) < states_max and not found.broken:
            reached: list[int] = []
            for state in frontier:
                for after in self._after(state, found):
                    if after not in self.visited:
                        self.visited.add(after)
                        reached.append(after)
                        if self._previous is not None:
                            self._previous[after] = state
                if found.broken:
                    break
            frontier = reached
        found.states, found.exhausted = len(self.visited), not frontier and not found.broken
        found.seconds = time.perf_counter() - started
        return found
