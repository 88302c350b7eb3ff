"""What flows from a stream to a function: this file is records, whatever their service, and the pages they come in."""

from __future__ import annotations

import json
from dataclasses import dataclass

from msgspec import DecodeError, Raw, Struct
from msgspec.json import decode

from poller.model import WHOLE, Place, Position, SequenceNumber

COMMA = b","
"""Between the records of an event."""


def parsed_event(json_text: bytes) -> object:
    """As the runtime of Lambda reads it; what its reader takes and the fast one refuses is half of a surrogate pair."""
    try:
        return decode(json_text)
    except DecodeError:
        return json.loads(json_text)


def _in_order(json_text: bytes) -> str:
    """Compact JSON with names in order and nothing beyond ASCII: the same for the same value, for ever (R-PAR-3)."""
    return json.dumps(json.loads(json_text), sort_keys=True, separators=(",", ":"))


class Record(Struct, gc=False):
    """One record of one shard, whatever the service; what it is in an event is made when it is asked for.

    Not a dataclass, as millions are made: this is a tenth of the cost.
    """

    sequence_number: SequenceNumber

    @property
    def arrived_at(self) -> float:
        """When the source took it, epoch seconds."""
        raise NotImplementedError

    @property
    def inner(self) -> int | None:
        """Its index in an aggregate, all of whose records have one sequence number.

        ``None`` for a plain record and for the last one of an aggregate, behind which the aggregate is done.
        """
        return None

    @property
    def ordering_key(self) -> str:
        """What order is promised for.

        The partition key of Kinesis, or the item's key of DynamoDB as JSON, in the one form that it always has.
        """
        raise NotImplementedError

    @property
    def size_bytes(self) -> int:
        """Its share of the payload: the length of ``body``."""
        raise NotImplementedError

    @property
    def body(self) -> bytes:
        """Its JSON as it stands in the Lambda event."""
        raise NotImplementedError

    def add_to(self, parts: list[bytes | Raw]) -> None:
        """Adds what its ``body`` is made of, for one who joins many, and a comma."""
        raise NotImplementedError

    def event(self) -> object:
        """What a handler in Python finds in its event: the value of ``body``."""
        raise NotImplementedError

    def by_itself(self) -> Record:
        """The same, without a hold on the rest of the answer with which it came."""
        return self

    @property
    def place(self) -> Place:
        """That of the position behind it."""
        return 1, int(self.sequence_number), WHOLE if self.inner is None else self.inner

    @property
    def position(self) -> Position:
        """The one behind it."""
        return Position.after(self.sequence_number, self.inner)


class RenderedRecord(Record, frozen=True, gc=False):  # type: ignore[misc]  # records of other kinds are completed
    """A record whose ``body`` is made already.

    ``key``: its ordering key; in bytes it is JSON whose names are not in order yet.
    """

    key: str | bytes
    arrived_at: float
    body: bytes
    inner: int | None = None

    @property
    def ordering_key(self) -> str:
        return self.key if isinstance(self.key, str) else _in_order(self.key)

    @property
    def size_bytes(self) -> int:
        return len(self.body)

    def add_to(self, parts: list[bytes | Raw]) -> None:
        parts += self.body, COMMA

    def event(self) -> object:
        return parsed_event(self.body)


@dataclass(frozen=True, slots=True)
class Page:
    """One answer of a source; ``behind_seconds`` is the lag after it, ``None`` where the service does not say.

    ``ended`` means that the shard is closed and this was the last of it; the page may still hold records.
    ``read_to`` is how far it reaches if that is beyond its last record; ``None`` if it is not. It ``took_seconds`` to
    come, or lay in a buffer: it tells of the stream as it may have been so long ago. ``left_out_at``: what follows is
    no older, if all of it was left out; ``None`` if it was not, or there was nothing.
    """

    records: tuple[Record, ...]
    behind_seconds: float | None = None
    ended: bool = False
    read_to: Position | None = None
    took_seconds: float = 0.0
    left_out_at: float | None = None

    @property
    def end(self) -> Position | None:
        """The position behind all of it; ``None`` if it moves nothing on."""
        if self.read_to is None and self.records:
            return self.records[-1].position
        return self.read_to

    @property
    def caught_up(self) -> bool:
        """Whether nothing more was there to be read; where the service tells no lag, an empty page says so."""
        if self.behind_seconds is None:
            return not self.records and self.left_out_at is None
        return self.behind_seconds <= 0
