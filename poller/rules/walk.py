"""Whether one event has all that a pattern asks for at once: this file is the walk of a pattern's fields into an event.

The fields go down together, so that each array is asked once: which of its elements has what all the fields that lead
into it ask for? That two fields never match in two different elements (R-FILT-25) needs no bookkeeping then, and the
time grows with the size of the event only.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from poller.rules.matchers import Leaf, Matcher


@dataclass(frozen=True, slots=True, eq=False)
class Way:
    """What is left of a field's path: the keys that lead on, each with the way from there; none at the end.

    There are several since keys join with dots: ``a.b.c`` goes on by ``a``, by ``a.b`` and by ``a.b.c`` (R-FILT-27).
    """

    matchers: tuple[Matcher, ...]
    onward: tuple[tuple[str, Way], ...] = ()

    def takes(self, leaf: Leaf) -> bool:
        return not self.onward and any(matcher(leaf) for matcher in self.matchers)


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """One path of a pattern, and the alternatives for its value.

    ``path``: its keys, those with dots taken apart. ``entries``: the alternatives as they were written. ``way``: the
    path from its beginning, with the matchers of those that want a value. ``absent``: whether one of them is
    ``{"exists": false}``.
    """

    path: tuple[str, ...]
    entries: tuple[object, ...]
    way: Way
    absent: bool

    @property
    def name(self) -> str:
        return ".".join(self.path)


_MUST, _MAY, _NEVER = range(3)

_Claim = tuple[int, str, Way]
"""That a field goes on by a key, and then must have a match, may have one or be absent, or must be absent."""


class Wanted:
    """What fields want of a value all at once, each with its way from there on.

    They are those that must have a match, those that may have one or be absent, and those that must be absent.
    """

    def __init__(self, must: Sequence[Way], may: Sequence[Way], never: Sequence[Way]) -> None:
        self.groups = (must, may, never)
        self.must = must
        self.ends = any(not way.onward for way in must)
        self.dotted = frozenset(key for ways in self.groups for way in ways for key, _ in way.onward[1:])

    @cached_property
    def below(self) -> Mapping[str, Wanted]:
        """What is wanted further down, by key, unless an event joins keys with dots."""
        return _by_key((group, *way.onward[0]) for group, ways in enumerate(self.groups) for way in ways if way.onward)


def way(path: Sequence[str], matchers: tuple[Matcher, ...]) -> Way:
    """The way along a whole path, which has one key at least."""
    rest = [Way(matchers)]
    for start in reversed(range(len(path))):
        onward = tuple((".".join(path[start : start + keys]), each) for keys, each in enumerate(rest, start=1))
        rest.insert(0, Way(matchers, onward))
    return rest[0]


def together(fields: Sequence[Field]) -> Wanted:
    """What a list of fields wants of an event."""
    return Wanted(
        [field.way for field in fields if not field.absent],
        [field.way for field in fields if field.absent and field.way.matchers],
        [field.way for field in fields if field.absent and not field.way.matchers],
    )


def holds(wanted: Wanted, value: object) -> bool:
    """Whether ``value``, as `parsed` gives it, has what is wanted."""
    if isinstance(value, dict):
        return _object_holds(wanted, value)
    if isinstance(value, list):
        return _array_holds(wanted, value)
    assert value is None or isinstance(value, str | int | float)
    must, may, never = wanted.groups
    return (
        all(each.takes(value) for each in must)
        and all(each.onward or each.takes(value) for each in may)
        and all(each.onward for each in never)
    )


def _array_holds(wanted: Wanted, array: Sequence[object]) -> bool:
    """A field that needs a match has it in one element, from which the absent fields must be absent then.

    Where no field chooses an element, absent means absent from all of them.
    """
    must, may, never = wanted.groups
    if must:
        return any(holds(wanted, element) for element in elements(array))
    for chooser in may:
        others = [each for each in may if each is not chooser]
        if _array_holds(Wanted((chooser,), others, never), array):
            return True
    nothing = Wanted((), (), (*may, *never))
    return all(holds(nothing, element) for element in elements(array))


def _object_holds(wanted: Wanted, value: Mapping[str, object]) -> bool:
    if not value.keys().isdisjoint(wanted.dotted):
        return _dotted_object_holds(wanted, value)
    if wanted.ends:  # at an object, which is no leaf (R-FILT-22)
        return False
    for key, below in wanted.below.items():  # no all(...): it would take one more frame of the stack at each level
        if below.must if key not in value else not holds(below, value[key]):
            return False
    return True


def _dotted_object_holds(wanted: Wanted, value: Mapping[str, object]) -> bool:
    """The same where a key may stand for several.

    An event may even spell one path in two ways; then each field has its choice, and only here choices multiply.
    """
    choices = [
        _choices(group, [step for step in way.onward if step[0] in value])
        for group, ways in enumerate(wanted.groups)
        for way in ways
    ]
    for claims in itertools.product(*choices):
        for key, below in _by_key(itertools.chain(*claims)).items():
            if not holds(below, value[key]):
                break
        else:
            return True
    return False


def _choices(group: int, onward: Sequence[tuple[str, Way]]) -> list[list[_Claim]]:
    """The ways for a field to go on, each as claims that must all hold; none if it needs a match and cannot."""
    if group == _MUST or len(onward) == 1:
        return [[(group, *step)] for step in onward]
    absent: list[_Claim] = [(_NEVER, *step) for step in onward]
    return [absent] if group == _NEVER else [absent, *([(_MUST, *step)] for step in onward)]


def _by_key(claims: Iterable[_Claim]) -> Mapping[str, Wanted]:
    found: dict[str, tuple[list[Way], list[Way], list[Way]]] = {}
    for group, key, each in claims:
        found.setdefault(key, ([], [], []))[group].append(each)
    return {key: Wanted(*groups) for key, groups in found.items()}


def elements(array: Sequence[object]) -> Iterator[object]:
    """The elements of an array; those of an array in it count as its own, for they are under the same keys."""
    waiting = [iter(array)]
    while waiting:
        for element in waiting[-1]:
            if isinstance(element, list):
                waiting.append(iter(element))
                break
            yield element
        else:
            waiting.pop()
