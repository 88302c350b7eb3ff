"""Answers by HTTP, however their bytes come in: their heads, their bodies, and whether another request may follow."""

from __future__ import annotations

import weakref
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poller import http_answer
from poller.http_answer import Answer, Broken

HEAD = b"HTTP/1.1 200 OK\r\nX-Amzn-RequestId: one\r\n"


def with_length(body):
    return HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body


def in_chunks(parts):
    return HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in [*parts, b""])


def come_in(data, cuts=(), **options):
    """The answer that comes in pieces, each into the place that it asks for, as a connection does it."""
    answer, left = Answer(**options), memoryview(data)
    steps = iter(cuts)
    while left:
        size = next(steps, len(left))
        piece, left = left[:size], left[size:]
        while piece:
            if answer.room is None:
                answer.feed(piece)
                break
            fits = min(len(piece), len(answer.room))
            answer.room[:fits] = piece[:fits]
            answer.filled(fits)
            piece = piece[fits:]
    return answer


CUTS = st.lists(st.integers(1, 40), max_size=30)


@given(body=st.binary(max_size=300), cuts=CUTS)
def test_a_body_of_known_length_is_whole_wherever_it_is_cut(body, cuts):
    answer = come_in(with_length(body), cuts)
    assert (answer.status, bytes(answer.take())) == (200, body)
    assert (answer.has_head, answer.is_whole, answer.keeps_alive, answer.room) == (True, True, True, None)
    assert answer.headers == {"x-amzn-requestid": "one", "content-length": str(len(body))}


@given(parts=st.lists(st.binary(min_size=1, max_size=60), max_size=5), cuts=CUTS)
def test_a_body_in_chunks_is_whole_wherever_it_is_cut(parts, cuts):
    answer = come_in(in_chunks(parts), cuts)
    assert bytes(answer.take()) == b"".join(parts)
    assert (answer.is_whole, answer.keeps_alive) == (True, True)


@given(body=st.binary(max_size=300), cuts=CUTS, chunked=st.booleans())
def test_of_a_streamed_answer_what_has_come_can_be_taken(body, cuts, chunked):
    data, answer, taken = in_chunks([body] if body else []) if chunked else with_length(body), Answer(streamed=True), []
    while data:
        size = cuts.pop() if cuts else len(data)
        answer.feed(memoryview(data)[:size])
        assert answer.room is None
        if answer.has_more:
            taken.append(answer.take())
            assert taken[-1]
        data = data[size:]
    assert (answer.is_whole, b"".join(taken), answer.take()) == (True, body, b"")


@given(data=st.sampled_from([with_length(b"0123456789"), in_chunks([b"01234", b"56789"])]), kept=st.integers(0, 110))
def test_an_answer_that_ends_too_soon_is_none(data, kept):
    answer = come_in(data[:kept])
    assert answer.is_whole == (kept >= len(data))
    if not answer.is_whole:
        with pytest.raises(Broken, match="closed"):
            answer.end()


@given(body=st.binary(max_size=100), cuts=CUTS)
def test_without_a_length_an_answer_ends_with_its_connection(body, cuts):
    answer = come_in(HEAD + b"\r\n" + body, cuts)
    assert not answer.is_whole
    answer.end()
    assert (answer.is_whole, bytes(answer.take()), answer.keeps_alive) == (True, body, False)


ANOTHER = b"HTTP/1.1 404 Not Found\r\nX-Amzn-RequestId: two\r\nContent-Length: 5\r\n\r\nother"


@pytest.mark.parametrize("more", [ANOTHER, b"HTTP/1.1 204 No Content\r\n\r\n", ANOTHER[:40], b"x", b"\x00" * 50])
@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("data", [with_length(b"{}"), with_length(b"x" * 200), in_chunks([b"{}"])])
def test_what_follows_an_answer_ends_the_use_of_its_connection(data, more, apart):
    answer = come_in(data + more, [len(data)]) if apart else come_in(data + more, [100, 1000])
    assert (answer.status, answer.is_whole) == (200, True)
    assert bytes(answer.take()) in (b"{}", b"x" * 200)
    assert not answer.keeps_alive
    assert answer.headers["x-amzn-requestid"] == "one"


def test_interim_answers_are_passed_over():
    answer = come_in(b"HTTP/1.1 100 Continue\r\nX-Early: 1\r\n\r\n" + with_length(b"{}"))
    assert (answer.status, answer.take(), answer.is_whole) == (200, b"{}", True)
    assert "x-early" not in answer.headers


def test_what_an_interim_answer_holds_is_not_the_answers():
    answer = come_in(b"HTTP/1.1 005 x\r\nContent-Length: 2\r\n\r\n[]" + with_length(b"{}"), [60])
    assert (answer.status, answer.take(), answer.is_whole) == (200, b"{}", True)


def test_an_answer_without_a_body():
    answer = come_in(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert (answer.status, answer.take(), answer.is_whole, answer.keeps_alive) == (204, b"", True, True)


@pytest.mark.parametrize("line", [b"Connection: close\r\n", b""])
def test_whether_a_connection_is_kept_is_the_servers_wish(line):
    version = b"HTTP/1.1" if line else b"HTTP/1.0"
    answer = come_in(version + b" 200 OK\r\n" + line + b"Content-Length: 2\r\n\r\n{}")
    assert (answer.is_whole, answer.keeps_alive) == (True, False)


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x01 nothing like HTTP\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
        HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Content-Length: -2\r\n\r\n",
        HEAD + b"Content-Length: two\r\n\r\n",
        HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_no_answer(data):
    with pytest.raises(Broken, match="HTTP"):
        come_in(data, [20, 20])


def test_no_answer_fills_the_memory(monkeypatch):
    monkeypatch.setattr(http_answer, "BODY_BYTES_MAX", 100)
    assert come_in(with_length(b"x" * 100)).is_whole
    for data in (with_length(b"x" * 101), in_chunks([b"x" * 60, b"x" * 60]), HEAD + b"\r\n" + b"x" * 101):
        with pytest.raises(Broken, match="more than 100 bytes"):
            come_in(data, [len(HEAD) + 40, 50])


@given(st.binary(max_size=200), CUTS)
def test_any_bytes_are_an_answer_or_none(data, cuts):
    with suppress(Broken):
        answer = come_in(b"HTTP/1.1 " + data, cuts)
        answer.end()
        assert answer.is_whole


@pytest.mark.parametrize("data", [with_length(b"{}"), with_length(b"x" * 200), in_chunks([b"{}", b"x"])])
def test_an_answer_goes_as_soon_as_nobody_holds_it(data):
    """Bodies are large, and the collector of circles comes late."""
    gone = weakref.ref(come_in(data, [100]))
    assert gone() is None
