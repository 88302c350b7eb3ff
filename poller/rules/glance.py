"""The few keys of a JSON text that somebody looks at: this file reads them, and passes over all the rest.

What it makes of a text is what `poller.rules.json_text.parsed` would, without the keys that nobody asked for. Where it
cannot be sure of that, it says so, and the text is to be parsed whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from msgspec import UNSET, DecodeError, Raw, UnsetType, defstruct
from msgspec.json import Decoder, decode

from poller.rules.json_text import decoded, parsed

_QUOTE = ord('"')


class Glance:
    """``paths`` lead to what is looked at; what lies there is read whole, or if its key is ``opened``, only in part.

    The keys that are opened are always seen, even if nothing is looked at in them.
    """

    def __init__(self, paths: Iterable[Sequence[str]], opened: Iterable[str] = ()) -> None:
        self._keys: _Keys | None = None
        ways = [tuple(path) for path in paths]
        if () not in ways:
            with suppress(ValueError):  # quotes and the like in a key, which no structure can have
                self._keys = _looked_at(ways, set(opened))

    def of(self, text: bytes) -> dict[str, object] | None:
        """What an object has of those keys; ``None`` if the text must be parsed whole."""
        found = None if self._keys is None else decoded(self._keys.decoder, text)
        if self._keys is None or found is None:
            return None
        try:
            return self._keys.values(found)
        except (DecodeError, ValueError):  # half a surrogate pair, or nested too deeply
            return None


def _looked_at(paths: Sequence[tuple[str, ...]], opened: set[str]) -> _Keys:
    below = {key: _Keys(_first_keys(path[1:] for path in paths if path[0] == key)) for key in opened}
    for path in paths:
        if len(path) == 1:  # somebody looks at the whole of it
            below.pop(path[0], None)
    return _Keys(_first_keys(paths) | opened, below)


class _Keys:
    """An object of which ``keys`` are read; ``below``: those that are objects of the same kind."""

    def __init__(self, keys: Iterable[str], below: Mapping[str, _Keys] | None = None) -> None:
        self._below = below or {}
        self._names = {f"key_{number}": key for number, key in enumerate(sorted(keys))}
        fields = [(name, self._kind(key) | UnsetType, UNSET) for name, key in self._names.items()]
        self.type = defstruct("Keys", fields, rename=self._names)
        self.decoder: Decoder[Any] = Decoder(self.type)

    def values(self, found: object) -> dict[str, object]:
        values = [(key, getattr(found, name)) for name, key in self._names.items()]
        return {key: self._value(key, value) for key, value in values if value is not UNSET}

    def _kind(self, key: str) -> Any:
        return self._below[key].type if key in self._below else Raw

    def _value(self, key: str, value: Any) -> object:
        if key in self._below:
            return self._below[key].values(value)
        text = memoryview(value)  # mostly of a string, which the decoder reads as `parsed` does, and sooner
        return decode(text) if text[0] == _QUOTE else parsed(text.tobytes().decode())


def _first_keys(paths: Iterable[Sequence[str]]) -> set[str]:
    """By which an object may begin to follow one of the paths; its keys may join several with dots (R-FILT-27)."""
    return {".".join(path[:number]) for path in paths for number in range(1, len(path) + 1)}
