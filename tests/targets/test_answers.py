"""Answers are read within Lambda's cap however they are packed, and a wish to retry later in whatever form it comes."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib

import aiohttp
import pytest
from botocore.exceptions import ResponseStreamingError
from hypothesis import example, given
from hypothesis import strategies as st

from poller.targets.answers import ANSWER_BYTES_MAX, TOO_LARGE, Unreadable, in_short, read_answer, retry_after_seconds


async def in_parts(whole, size=64 * 1024):
    for start in range(0, len(whole), size):
        yield whole[start : start + size]


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("", bytes),
        ("identity", bytes),
        ("gzip", gzip.compress),
        (" GZIP ", gzip.compress),
        ("x-gzip", gzip.compress),
        ("deflate", zlib.compress),
    ],
)
@pytest.mark.parametrize("size", [1, 7, 64 * 1024])
@pytest.mark.parametrize("body", [b"", b'{"batchItemFailures":[]}', bytes(range(256)) * 1000])
async def test_an_answer_is_unpacked_as_it_says(encoding, pack, size, body):
    assert await read_answer(in_parts(pack(body), size), encoding) == body


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_nothing_packed_is_nothing(encoding):
    """R-PBR-3: an empty body is an answer."""
    assert await read_answer(in_parts(b""), encoding) == b""


@pytest.mark.parametrize(("encoding", "pack"), [("", bytes), ("gzip", gzip.compress), ("deflate", zlib.compress)])
async def test_the_cap_is_lambdas_to_the_byte(encoding, pack):
    """R-INV-1: Lambda fails a function that answers with more."""
    body = b"x" * ANSWER_BYTES_MAX
    assert await read_answer(in_parts(pack(body)), encoding) == body
    with pytest.raises(Unreadable, match=r"maximum allowed payload size \(6291556 bytes\)"):
        await read_answer(in_parts(pack(body + b"x")), encoding)


@pytest.mark.parametrize(
    "wbits", [pytest.param(zlib.MAX_WBITS + 16, id="gzip"), pytest.param(zlib.MAX_WBITS, id="deflate")]
)
async def test_a_bomb_does_not_fill_the_memory(wbits):
    packing = zlib.compressobj(level=9, wbits=wbits)
    bomb = b"".join(packing.compress(bytes(2**20)) for _ in range(200)) + packing.flush()
    assert len(bomb) < 250_000
    tracemalloc.start()
    try:
        with pytest.raises(Unreadable, match="exceeded"):
            await read_answer(in_parts(bomb, len(bomb)), "gzip" if wbits > zlib.MAX_WBITS else "deflate")
        assert tracemalloc.get_traced_memory()[1] < 3 * ANSWER_BYTES_MAX
    finally:
        tracemalloc.stop()


async def test_no_more_is_read_than_is_needed_to_know():
    given = 0

    async def endless():
        nonlocal given
        while True:
            given += 1
            yield bytes(64 * 1024)

    with pytest.raises(Unreadable) as problem:
        await read_answer(endless(), "")
    assert str(problem.value) == TOO_LARGE
    assert given == 97


@pytest.mark.parametrize(
    ("encoding", "whole", "problem"),
    [
        ("gzip", gzip.compress(b"{}", mtime=0)[:-3], "broke off"),
        ("gzip", gzip.compress(b"{}", mtime=0) + b"more", "behind its end"),
        ("gzip", b'{"batchItemFailures":[]}', "broke off: error"),
        ("deflate", b'{"batchItemFailures":[]}', "broke off: error"),
        ("br", b"\x0b\x01\x80{}\x03", "nobody asked for: br"),
        ("zstd", b"\x28\xb5\x2f\xfd", "nobody asked for: zstd"),
        ("gzip, gzip", gzip.compress(gzip.compress(b"{}", mtime=0), mtime=0), "nobody asked for: gzip, gzip"),
    ],
)
async def test_what_cannot_be_unpacked_is_never_taken_for_an_answer(encoding, whole, problem):
    with pytest.raises(Unreadable, match=problem):
        await read_answer(in_parts(whole), encoding)


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (TimeoutError(), "did not end in time"),
        (ConnectionResetError("by peer"), "broke off: ConnectionResetError: by peer"),
        (aiohttp.ClientPayloadError("short"), "broke off: ClientPayloadError: short"),
        (ResponseStreamingError(error="reset"), "broke off: ResponseStreamingError: .*reset"),
    ],
)
async def test_an_answer_without_its_end_is_none(error, problem):
    async def parts():
        yield b'{"batchItemFailures":'
        raise error

    with pytest.raises(Unreadable, match=problem):
        await read_answer(parts(), "")


SENT = "Wed, 21 Oct 2026 07:28:00 GMT"


@pytest.mark.parametrize(
    ("wish", "sent", "seconds"),
    [
        ("0", SENT, 0.0),
        ("7", None, 7.0),
        (" 7 ", SENT, 7.0),
        ("9" * 400, SENT, float("inf")),
        ("Wed, 21 Oct 2026 07:28:30 GMT", SENT, 30.0),
        ("Wednesday, 21-Oct-26 07:28:30 GMT", SENT, 30.0),
        ("Wed, 21 Oct 2026 08:28:30 +0100", SENT, 30.0),
        ("Wed, 21 Oct 2026 07:27:00 GMT", SENT, 0.0),
        ("Wed, 21 Oct 2026 07:28:30 GMT", None, None),
        ("Wed, 21 Oct 2026 07:28:30 GMT", "yesterday", None),
        ("Wed, 21 Oct 2026 07:28:30 -0000", SENT, None),
        ("Wed, 21 Oct 99999999999999999999 07:28:30 GMT", SENT, None),
        ("-5", SENT, None),
        ("1.5", SENT, None),
        ("7, Wed, 21 Oct 2026 07:28:30 GMT", SENT, None),
        ("٧", SENT, None),
        ("1e3", SENT, None),
        ("soon", SENT, None),
        ("", SENT, None),
        (None, SENT, None),
    ],
)
def test_a_wish_to_retry_later_is_seconds_or_a_date(wish, sent, seconds):
    """R-PORT-4; a date is measured against the sender's own clock, so that no two clocks need agree."""
    headers = {name: value for name, value in (("retry-after", wish), ("date", sent)) if value is not None}
    assert retry_after_seconds(headers) == seconds


DATES = st.builds(
    "{}, {} {} {} {}:{}:{} {}".format,
    st.sampled_from(["Wed", "Wednesday", ""]),
    st.integers(-1, 99),
    st.sampled_from(["Oct", "Feb", "10", ""]),
    st.integers(-1, 10**20),
    *[st.integers(-1, 10**20)] * 3,
    st.sampled_from(["GMT", "-0000", "+9999", "+99999999999999999999", "EST", ""]),
)


@given(st.text() | DATES, st.text() | DATES)
@example(" ", "\x00")
def test_no_wish_is_so_odd_that_it_breaks_anything(wish, sent):
    seconds = retry_after_seconds({"retry-after": wish, "date": sent})
    assert seconds is None or seconds >= 0


@pytest.mark.parametrize(
    ("said", "short"),
    [
        ("", ""),
        (b"<html>\n  busy\t</html>", "<html> busy </html>"),
        (b"\xff{", "�{"),
        ("no \ud83d, but 😀", r"no \ud83d, but 😀"),
        ("x" * 300, "x" * 300),
        ("x" * 301, "x" * 300 + "..."),
        ("x" * 10_000_000, "x" * 300 + "..."),
    ],
)
def test_what_others_say_is_told_in_one_line_of_bounded_length(said, short):
    assert in_short(said) == short
