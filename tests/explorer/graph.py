"""The states of a whole world and the steps between them: this file puts the lives of its shards together.

A state is one integer: the numbers of its shards' states, and above them how many faults there were. A step is the
difference that it makes, so that a step of a shard, once worked out, is an addition.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from poller.model import Row, ShardId
from poller.rules.lineage import starting_checkpoint, unknown
from tests import builders
from tests.explorer.rules import created
from tests.explorer.shard import ShardLife
from tests.explorer.state import ShardState, canonical
from tests.explorer.world import WORKERS, World
from tests.virtual import EPOCH

BITS = 20
MASK = (1 << BITS) - 1


class Broken(Exception):
    """What happens in the state ``before``, as ``text`` says, breaks a promise."""

    def __init__(self, before: int, text: str, promise: str) -> None:
        super().__init__(promise)
        self.before = before
        self.text = text


@dataclass(slots=True)
class Steps:
    """What may happen to one shard in one state; ``calm`` is the step in peace, behind its eagerness."""

    free: list[int] = field(default_factory=list)
    faulty: list[int] = field(default_factory=list)
    attempts: list[int] = field(default_factory=list)
    broken: dict[int, str] = field(default_factory=dict)
    texts: dict[int, str] = field(default_factory=dict)
    calm: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Told:
    """What all rows together say: which shards may be read, whether all is done, and what listing would add."""

    readable: list[bool]
    all_finished: bool
    listing: int


class Graph:
    """``heeds`` says which promises count, by the text that tells of them; ``seen`` is what may happen to a shard."""

    def __init__(self, world: World, heeds: Callable[[str], bool]) -> None:
        self._world = world
        self._heeds = heeds
        self._life = ShardLife(world)
        self._names = list(world.family)
        self._parents = [[self._names.index(parent) for parent in parents] for parents in world.family.values()]
        self.faults_at = top = BITS * len(self._names)
        self._shifts = range(0, top, BITS)
        self._fault = 0 if world.faults_max is None else 1 << top
        self._fault_allowed_below = 1 << top + 64 if world.faults_max is None else world.faults_max << top
        self.seen: set[str] = set()
        self._steps: list[dict[int, Steps]] = [{} for _ in self._names]
        self._told: dict[tuple[int, ...], Told] = {}
        self._row_of = self._life.row_of
        self._changed: dict[tuple[int, int], int] = {}
        self._changes = [
            (f"{name} {what}", change, worker)
            for worker, name in enumerate(WORKERS)
            for what, change in (
                ("crashes and starts again", self._life.crashed),
                ("is told to stop", self._life.told_to_stop),
            )
        ]

    @property
    def shard_states(self) -> int:
        return self._life.count

    def start(self) -> int:
        """Two workers that know nothing, and rows for the shards that have no parents."""
        nothing = self._life.number(ShardState(None))
        blank = sum(nothing << shift for shift in self._shifts)
        return blank + self._listed([None] * len(self._names), only_first=True)

    def after(self, state: int) -> list[int]:
        """All states that one step leads to. Raises `Broken`."""
        numbers = [state >> shift & MASK for shift in self._shifts]
        told = self._told_by(numbers)
        may_fail = state < self._fault_allowed_below
        differences = []
        for index, number in enumerate(numbers):
            steps = self._steps_of(index, number, told.readable[index])
            differences += steps.free
            if may_fail:
                differences += steps.faulty
            if steps.attempts or steps.broken:
                self._judge(state, numbers, index, steps, may_fail)
        if may_fail:
            differences += [self._together(numbers, change) for change in range(len(self._changes))]
        if told.listing:
            differences.append(told.listing)
        return [state + difference for difference in differences]

    def calm(self, state: int) -> int:
        """The state that follows if nothing goes wrong; the same one if nothing follows."""
        numbers = [state >> shift & MASK for shift in self._shifts]
        told = self._told_by(numbers)
        calm = [self._steps_of(i, number, told.readable[i]).calm for i, number in enumerate(numbers)]
        return state + (told.listing or max(calm)[1])

    def is_end(self, state: int) -> bool:
        """Whether the store says that every shard is finished."""
        return self._told_by([state >> shift & MASK for shift in self._shifts]).all_finished

    def text(self, state: int, after: int) -> str:
        """What happens between two states."""
        numbers = [state >> shift & MASK for shift in self._shifts]
        told = self._told_by(numbers)
        for index, number in enumerate(numbers):
            text = self._steps_of(index, number, told.readable[index]).texts.get(after - state)
            if text is not None:
                return text
        if after - state == told.listing:
            return "the stream is listed, with the shards that are new"
        return next(
            text for each, (text, _, _) in enumerate(self._changes) if self._together(numbers, each) == after - state
        )

    # What is worked out once

    def _steps_of(self, index: int, number: int, readable: bool) -> Steps:
        steps = self._steps[index].get(2 * number + readable)
        if steps is None:
            steps = self._steps[index][2 * number + readable] = self._worked_out(index, number, readable)
        return steps

    def _worked_out(self, index: int, number: int, readable: bool) -> Steps:
        steps, shift = Steps(), self._shifts[index]
        for move, after in self._life.moves(number, readable=readable):
            difference = (after - number << shift) + move.fault * self._fault
            (steps.faulty if move.fault else steps.free).append(difference)
            if move.attempts:
                steps.attempts.append(difference)
            if move.broken and self._heeds(move.broken):
                steps.broken[difference] = move.broken
            if move.eagerness:
                steps.calm = max(steps.calm, (move.eagerness, difference))
            text = move.text.format(self._names[index])
            steps.texts.setdefault(difference, text)
            self.seen.add(text)
        return steps

    def _together(self, numbers: list[int], change: int) -> int:
        """The difference of what happens to a whole worker."""
        total = self._fault
        for number, shift in zip(numbers, self._shifts, strict=True):
            difference = self._changed.get((number, change))
            if difference is None:
                _, verb, worker = self._changes[change]
                difference = self._changed[number, change] = verb(number, worker) - number
            total += difference << shift
        return total

    def _told_by(self, numbers: list[int]) -> Told:
        key = tuple([self._row_of[number] for number in numbers])
        told = self._told.get(key)
        if told is None:
            told = self._told[key] = self._ask(numbers)
        return told

    def _ask(self, numbers: list[int]) -> Told:
        """Asks the rule of lineage, about rows that bear the names of their shards."""
        rows = [self._life.row(number) for number in numbers]
        named = [
            replace(row, lease=replace(row.lease, shard=shard.id), parents=shard.parents)
            for row, shard in zip(rows, self._world.listing.shards, strict=True)
            if row is not None
        ]
        readable = {row.shard for row in self._world.readable(named, self._world.listing)}
        return Told(
            [ShardId(name) in readable for name in self._names],
            all(row is not None and row.finished for row in rows),
            self._listed(rows),
        )

    def _listed(self, rows: list[Row | None], *, only_first: bool = False) -> int:
        """What the rows add that are made of a listing, which shows only the oldest shards at first."""
        listing = self._world.listing
        shards = [each for each in listing.shards if not (only_first and each.parents)]
        known = [
            replace(row, lease=replace(row.lease, shard=shard.id))
            for row, shard in zip(rows, listing.shards, strict=True)
            if row is not None
        ]
        new = unknown(replace(listing, shards=tuple(shards)), known)
        total = 0
        for shard in new:
            checkpoint = starting_checkpoint(shard, builders.mapping(), EPOCH, first_start=not known)
            nothing = self._life.number(ShardState(None))
            listed = self._life.number(canonical(ShardState(created(self._world, checkpoint))))
            total += listed - nothing << self._shifts[self._names.index(shard.id)]
        return total

    def _judge(self, state: int, numbers: list[int], index: int, steps: Steps, may_fail: bool) -> None:
        for difference, promise in steps.broken.items():
            if may_fail or difference not in steps.faulty:
                raise Broken(state, steps.texts[difference], promise)
        early = [self._names[each] for each in self._parents[index] if not self._life.all_done(numbers[each])]
        promise = f"parent: a record of {self._names[index]} is attempted before {' and '.join(early)} is done"
        if early and steps.attempts and self._heeds(promise):
            raise Broken(state, steps.texts[steps.attempts[0]], promise)
