"""What functions answer: this file holds the verdict on a batch against the law that nothing may leave it.

An input is a line whose bytes say how large the batch is, how it is packed and in which parts it comes, and the answer.
"""

from __future__ import annotations

import gzip
import json
import zlib

from poller.invocation import Chunk, Succeeded
from poller.mapping import FailurePolicy
from poller.rules.failure import judge
from poller.rules.partial_response import first_failure, with_failures_understood
from poller.rules.windows import with_state
from poller.targets.answers import Unreadable, in_short, read_answer, retry_after_seconds
from tests.builders import numbers, record

BYTES_MAX = 1_000
WORDS = (
    *("batchItemFailures", "itemIdentifier", "state", "1", "2", "3", "4", "5", "9", "null", "statusCode"),
    *("Wed, 21 Oct 2026 07:28:00 GMT", "GMT", "-0000", "gzip", "deflate", "br"),
)

_ENCODINGS = ("", "identity", "gzip", "deflate", "br", "GZIP ")
_PACK = {"gzip": gzip.compress, "deflate": zlib.compress}
_POLICIES = [FailurePolicy(retries, None, bisect, True) for retries in (None, 0, 2) for bisect in (False, True)]


def seeds():
    def items(*identifiers):
        return {"batchItemFailures": [{"itemIdentifier": each} for each in identifiers]}

    answers = [b"", b" ", b"[]", b"7", b"\xff", b"not json"]
    values = [items(), items("2"), items("3", "2"), items("9"), items(""), items(None), {"state": {"n": 1}}]
    values += [{"batchItemFailures": None}, {"batchItemFailures": ["2"]}, {"batchItemFailures": {"a": 1}}]
    answers += [json.dumps(value).encode() for value in values]
    answers += [gzip.compress(answers[6], mtime=0), zlib.compress(answers[7])]
    return [b"%d%d%d\n%b" % (1 + at % 6, at % 6, at % 3, answer) for at, answer in enumerate(answers)]


def fuzz(data):
    """Whatever the answer is, each record is done or will be delivered again; what is unreadable fails all of them."""
    head, _, answer = data.partition(b"\n")
    size, packing, part, kind = (*(head[at] if at < len(head) else 0 for at in range(4)),)
    _unpack(answer, _ENCODINGS[packing % len(_ENCODINGS)], 1 + part % 7)
    _read(answer, 1 + size % 7, _POLICIES[kind % len(_POLICIES)])
    wish, _, sent = answer.decode("latin-1").partition("\n")
    seconds = retry_after_seconds({"retry-after": wish, "date": sent})
    assert seconds is None or seconds >= 0
    assert len(in_short(answer)) <= 303
    assert "\n" not in in_short(answer)


def _unpack(whole, encoding, part):
    """Read as `gzip` and `zlib` read the whole of it, or not at all; and packed, it comes out as it went in."""
    got = _read_answer(whole, encoding, part)
    if encoding in ("", "identity"):
        assert got == whole
    elif encoding == "br":
        assert got is None
    elif got is not None and whole:
        assert got == zlib.decompress(whole, 32 + zlib.MAX_WBITS)
    pack = _PACK.get(encoding.strip().lower())
    if pack is not None:
        assert _read_answer(pack(whole), encoding, part * 16) == whole


def _read_answer(whole, encoding, part):
    async def parts():
        for start in range(0, len(whole), part):
            yield whole[start : start + part]

    reading = read_answer(parts(), encoding)
    try:
        reading.send(None)
    except StopIteration as end:
        return end.value
    except Unreadable:
        return None
    raise AssertionError("the reading waits for what will not come")


def _read(answer, size, policy):
    """The batch has numbers 1, 2, 3, 3, 5, ...: two records are of one aggregate."""
    records = tuple(record(3 if number == 4 else number) for number in range(1, size + 1))
    chunk = Chunk(records, attempts=1)
    failed_from = first_failure(answer, [each.sequence_number for each in records])
    assert failed_from == _failed_from(answer, numbers(records))
    verdict = judge(chunk, Succeeded(answer), policy, 0.5)
    pending = [each for part in verdict.pending for each in part.records]
    assert [*verdict.settled, *verdict.discarded, *pending] == list(records), "records came or went"
    assert bool(verdict.discarded) is (verdict.condition is not None)
    assert len(verdict.settled) == (len(records) if failed_from is None else failed_from)
    if failed_from is not None and failed_from > 0:
        assert len(pending) == len(records) - failed_from, "a suffix is invoked again"
    understood = with_failures_understood(Succeeded(answer), [each.sequence_number for each in records])
    assert isinstance(understood, Succeeded) or failed_from == 0, "what cannot be understood fails the whole batch"
    with_state(Succeeded(answer), 1000)


def _failed_from(answer, batch):
    """The reading in plain words (R-PBR-2, R-PBR-3): the place of the first failure, ``None`` if there is none."""
    if answer.strip() == b"":
        return None
    try:
        said = json.loads(answer)
    except (ValueError, RecursionError):
        return 0
    if isinstance(said, list) and said:
        return 0
    failures = said.get("batchItemFailures") if isinstance(said, dict) else None
    if failures in (None, []):
        return None
    if not isinstance(failures, list) or not all(isinstance(each, dict) for each in failures):
        return 0
    named = [each.get("itemIdentifier") for each in failures]
    if any(name not in map(str, batch) for name in named):
        return 0
    return min(batch.index(int(name)) for name in named)
