"""Every state of a world, once: this file is the search, and the way to what it found."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.explorer.graph import Broken, Graph
from tests.explorer.world import World


@dataclass(slots=True)
class Found:
    """What a search came to.

    ``exhausted``: there are no more states than these, and from all of them the end was looked for. ``trace`` leads,
    with as few faults and steps as can be, to the promise that is ``broken``. ``seen``: what happened, in words.
    ``seconds`` are of the processor.
    """

    world: str
    states: int = 0
    steps: int = 0
    shard_states: int = 0
    exhausted: bool = False
    broken: str = ""
    trace: list[str] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    seconds: float = 0.0


def explore(world: World, *, states_max: int = 10**9, heeds: Callable[[str], bool] = bool) -> Found:
    """Visits all states, or so many; if a promise that ``heeds`` picks is broken, it goes there again for the trace."""
    graph, started = Graph(world, heeds), time.process_time()
    found = Found(world.name)
    try:
        visited, found.steps, found.exhausted = _visit(graph, states_max)
        found.states = len(visited)
        if found.exhausted:
            found.broken = _unending(graph, visited)
            if found.broken and not heeds(found.broken):
                found.broken = ""
    except Broken as broken:
        found.broken = str(broken)
        found.trace = _trace(Graph(world, heeds))
    found.shard_states, found.seen = graph.shard_states, graph.seen
    found.seconds = time.process_time() - started
    return found


def _visit(graph: Graph, states_max: int, previous: dict[int, int] | None = None) -> tuple[set[int], int, bool]:
    """All states, the number of steps between them, and whether these are all; notes whence each was reached.

    Those with fewer faults come first, and among them those with fewer steps.
    """
    frontier, one_fault_more, faults, steps = [graph.start()], [], 0, 0
    visited = set(frontier)
    while frontier and len(visited) < states_max:
        reached: list[int] = []
        for state in frontier:
            for after in graph.after(state):
                steps += 1
                if after not in visited:
                    visited.add(after)
                    (reached if after >> graph.faults_at == faults else one_fault_more).append(after)
                    if previous is not None:
                        previous[after] = state
            if len(visited) >= states_max:
                break
        if not reached:
            reached, one_fault_more, faults = one_fault_more, [], faults + 1
        frontier = reached
    return visited, steps, not frontier


def _unending(graph: Graph, visited: set[int]) -> str:
    """Goes on in peace from each state, until it comes to the end or to a state from which that was seen before."""
    while visited:
        state = visited.pop()
        way = {state}
        while not graph.is_end(state):
            state = graph.calm(state)
            if state in way:
                return "end: in peace, not all shards are ever finished"
            if state not in visited:
                break
            visited.remove(state)
            way.add(state)
    return ""


def _trace(graph: Graph) -> list[str]:
    """The steps that lead to a broken promise."""
    state = graph.start()
    previous = {state: state}
    try:
        _visit(graph, 10**9, previous)
    except Broken as broken:
        state, texts = broken.before, [broken.text]
    while previous[state] != state:
        texts.insert(0, graph.text(previous[state], state))
        state = previous[state]
    return texts
