"""Inputs made from inputs: this file bends JSON as JSON, lines as lines, and anything as bytes."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from random import Random

_VALUES = [None, True, False, 0, -1, 7, 0.5, 1e300, 10**30, 10**400, float("nan"), float("inf"), "", "0", "\ud800"]
_VALUES += ["é", "*", "\u2028", "9" * 140, "9" * 4400, "-1", [], {}, [None], [[]], {"": 1}]
_BYTES = [b"", b"\0", b"\xff", b'"', b"[", b"]", b"{", b"}", b",", b":", b"\\", b"\n", b"0", b"-", b"e", b"null", b"#"]
_BYTES += ["é".encode(), b"NaN", b"1e999", b"\\ud800", b"[" * 400, b"9" * 330, b"a." * 350, b"\x80\x01"]
_BYTES += [b'"""', b"'''", b" ", b"=", b"${A}"]


def mutated(data: bytes, random: Random, words: Sequence[str], others: Sequence[bytes]) -> bytes:
    """``data`` after one to three changes; the same for the same ``random``."""
    for _ in range(random.choice((1, 1, 2, 3))):
        kind = random.random()
        bent = _json(data, random, words) if kind < 0.55 else None
        if bent is None:
            bent = _lines(data, random, others) if kind > 0.8 else _bytes(data, random, words)
        data = bent
    return data


def _json(data: bytes, random: Random, words: Sequence[str]) -> bytes | None:
    """One line that is JSON, changed at one place of its tree; ``None`` if the line is none."""
    lines = data.split(b"\n")
    at = random.randrange(len(lines))
    try:
        value = [json.loads(lines[at])]
    except (ValueError, RecursionError):
        return None
    place, key = random.choice(list(_places(value)))
    place[key] = _other(place[key], value, random, words)
    if place is not value and random.random() < 0.2:
        del place[key]
    elif isinstance(place, dict) and words and random.random() < 0.2:
        place[random.choice(words)] = place.pop(key)
    elif isinstance(place, list) and place is not value and random.random() < 0.3:
        place.insert(random.randrange(len(place) + 1), copy.deepcopy(random.choice(place)))
    lines[at] = json.dumps(value[0], separators=(",", ":"), ensure_ascii=random.random() < 0.9).encode(
        "utf-8", "surrogatepass"
    )
    return b"\n".join(lines)


def _places(value):
    """Every place in a tree, as the container and the key or index in it."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        for key, below in each.items() if isinstance(each, dict) else enumerate(each):
            yield each, key
            if isinstance(below, (dict, list)):
                waiting.append(below)


def _other(value, whole, random, words):
    kind = random.randrange(6)
    if kind == 0 and words:
        return random.choice(words)
    if kind == 1:
        place, key = random.choice(list(_places(whole)))
        return copy.deepcopy(place[key])
    if kind == 2:
        return [value] if random.random() < 0.5 else {random.choice(words) if words else "": value}
    if kind == 3 and isinstance(value, str):
        at = random.randrange(len(value) + 1)
        return value[:at] + random.choice(("", "*", "\\", "0", "é", "/", ".")) + value[at + random.randrange(2) :]
    if kind == 4 and isinstance(value, (int, float)) and abs(value) < 1e300:
        return value + random.choice((-1, 1, 0.25))
    return copy.deepcopy(random.choice(_VALUES))


def _lines(data: bytes, random: Random, others: Sequence[bytes]) -> bytes:
    """Lines left out, doubled, moved, or brought in from another input."""
    lines = data.split(b"\n")
    if random.random() < 0.2:
        return data[: random.randrange(len(data) + 1)]
    at, kind = random.randrange(len(lines)), random.randrange(4)
    if kind == 0:
        del lines[at]
    elif kind == 1:
        lines.insert(random.randrange(len(lines) + 1), lines[at])
    elif kind == 2:
        other = random.randrange(len(lines))
        lines[at], lines[other] = lines[other], lines[at]
    else:
        lines[at] = random.choice(random.choice(others or (data,)).split(b"\n"))
    return b"\n".join(lines)


def _bytes(data: bytes, random: Random, words: Sequence[str]) -> bytes:
    """A piece replaced by nothing, by another one, or by itself twice."""
    start = random.randrange(len(data) + 1)
    end = min(len(data), start + random.choice((0, 0, 1, 1, 2, 8)))
    piece = data[start:end]
    kind = random.randrange(4)
    if kind == 0:
        new = bytes([random.randrange(256)])
    elif kind == 1:
        new = piece * 2
    elif kind == 2 and words:
        new = random.choice(words).encode("utf-8", "surrogatepass")
    else:
        new = random.choice(_BYTES)
    return data[:start] + new + data[end:]
