"""The life of a mapping in Lambda's words: this file is its states, and what its last processing result says.

A start gives a state (`started`), which settles once the mapping runs or rests (`settled`)::

    known before               enabled now                   disabled now
    nothing, Deleting          Creating                      Creating (R-STATE-2)
    Creating                   Creating                      Creating
    Enabling, Enabled,         as before, or Updating        Disabling
    Updating                   if the settings changed
    Disabling, Disabled        Enabling (R-STATE-3)          as before, or Updating if the settings changed

A worker that died before its state had settled leaves it to the next start, which goes on with it. The reason is always
the user's action, since nothing else moves a state here (R-STATE-5, R-STATE-8).

The last processing result is a text in one of these forms. Every batch and every trouble writes it anew; what ends a
problem besides can be told by its first words (`heard`)::

    No records processed
    OK
    PROBLEM: Function call failed
    PROBLEM: Function call failed: why      the function was not reached (R-STATE-9)
    PROBLEM: Polling failed: why            no answer of the stream, the store is away, or an unforeseen error;
                                            ended by a listing
    PROBLEM: what the stream answered       R-STATE-6, R-STATE-10; ended by reading, if the shards can be listed

What Lambda shows when reading goes on after a trouble is not known. Here it is "No records processed", which is true
until the next batch, and needs no memory of what was before, so that it comes out right after a restart too.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields, is_dataclass, replace

from poller.events import BatchInvoked, Event, MappingTroubled, Polled, ShardFailed, ShardsListed
from poller.mapping import NOTHING_PROCESSED, USER_ACTION, EventSourceMapping, MappingStatus, State

RESULT_LENGTH_MAX = 500

OK = "OK"
PROBLEM = "PROBLEM:"
CALL_FAILED = f"{PROBLEM} Function call failed"
POLLING_FAILED = f"{PROBLEM} Polling failed"

_DISABLED = (State.DISABLING, State.DISABLED)


def settings_mark(mapping: EventSourceMapping) -> str:
    """A digest of the settings, the same in every process: another one means that they were changed.

    Neither the name, which is only a label, nor ``enabled``, which has states of its own, counts as a setting. What is
    left at its default is left out, so that a version with one more setting finds no mapping changed.
    """
    plain = EventSourceMapping(
        id=mapping.id,
        name=mapping.name,
        source_arn=mapping.source_arn,
        function_name=mapping.function_name,
        starting_position="",
        enabled=mapping.enabled,
    )
    text = json.dumps(_set(mapping, plain), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def started(before: MappingStatus | None, mapping: EventSourceMapping, now: float) -> MappingStatus:
    """How a mapping is when a worker starts with it; ``before`` is what was reported last, ``None`` if nothing was.

    The same value if nothing is new. The last processing result stays (R-STATE-3).
    """
    mark = settings_mark(mapping)
    if before is None or before.state is State.DELETING:
        return MappingStatus(mapping.id, State.CREATING, changed_at=now, settings=mark)
    state = _next_state(before.state, enabled=mapping.enabled, changed=before.settings != mark)
    if (state, mark) == (before.state, before.settings):
        return before
    return replace(before, state=state, reason=USER_ACTION, changed_at=now, settings=mark)


def settled(status: MappingStatus, *, enabled: bool, now: float) -> MappingStatus:
    """How a mapping is once it runs, or once it rests if it is not ``enabled``; one on its way out stays so."""
    state = State.ENABLED if enabled else State.DISABLED
    if status.state in (state, State.DELETING):
        return status
    return replace(status, state=state, changed_at=now)


def listable_after(event: Event, *, before: bool) -> bool:
    """Whether the stream's shards could be listed when that was last tried."""
    match event:
        case MappingTroubled(listing=True):
            return False
        case ShardsListed():
            return True
        case _:
            return before


def heard(status: MappingStatus, event: Event, *, listable: bool = True) -> MappingStatus:
    """The status after ``event``, which is one of this mapping; the same value if it says nothing new.

    While the shards are not ``listable``, reading those that are known ends no trouble: those that come are not found.
    Records that are given up have no word of their own (R-STATE-7), and no trouble moves the state (R-STATE-8).
    """
    is_no_news = isinstance(event, Polled) and not listable
    result = status.result if is_no_news else _result(status.result, event)
    return status if result == status.result else replace(status, result=result)


def _next_state(before: State, *, enabled: bool, changed: bool) -> State:
    if before is State.CREATING:
        return before
    if enabled is (before in _DISABLED):
        return State.ENABLING if enabled else State.DISABLING
    return State.UPDATING if changed else before


def _result(before: str, event: Event) -> str:
    match event:
        case Polled(result="records" | "empty"):
            return NOTHING_PROCESSED if _is_of_stream(before) else before
        case BatchInvoked(outcome="success" | "partial_failure"):
            return OK
        case BatchInvoked(outcome="not_invoked"):
            return _line(f"{CALL_FAILED}: {event.problem}")
        case BatchInvoked():
            return CALL_FAILED
        case ShardFailed():
            return _line(f"{POLLING_FAILED}: {event.problem}")
        case MappingTroubled(said=""):
            last = event.problem.strip().rpartition("\n")[2]  # of a trace, it says what it was
            return _line(f"{POLLING_FAILED}: {last}")
        case MappingTroubled():
            return _line(f"{PROBLEM} {event.said}")
        case ShardsListed():
            return NOTHING_PROCESSED if before.startswith(POLLING_FAILED) else before
        case _:
            return before


def _is_of_stream(result: str) -> bool:
    return result.startswith(PROBLEM) and not result.startswith((CALL_FAILED, POLLING_FAILED))


def _line(text: str) -> str:
    """One line of a bearable length, without what a terminal would obey."""
    line = " ".join(text[: 2 * RESULT_LENGTH_MAX].split())
    cut = line if len(line) <= RESULT_LENGTH_MAX else f"{line[: RESULT_LENGTH_MAX - 3]}..."
    return "".join(character if character.isprintable() else "?" for character in cut)


def _set(value: object, plain: object) -> object:
    """``value`` as JSON, of a dataclass only the fields in which it differs from ``plain``."""
    if is_dataclass(value):
        pairs = [(each.name, getattr(value, each.name), getattr(plain, each.name)) for each in fields(value)]
        return {name: _set(mine, its) for name, mine, its in pairs if mine != its}
    return float(value) if isinstance(value, int) else value  # equal numbers must have one text
