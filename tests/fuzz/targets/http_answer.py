"""Answers by HTTP: this file holds one that comes in pieces against the same that comes at once.

An input is a character, whose number is the size of the pieces, and what comes.
"""

from __future__ import annotations

from poller.http_answer import Answer, Broken

BYTES_MAX = 2_000
WORDS = (
    "HTTP/1.1 200 OK\r\n",
    "Content-Length: ",
    "Transfer-Encoding: chunked\r\n",
    "Connection: close\r\n",
    "\r\n\r\n",
)

_OK = b"HTTP/1.1 200 OK\r\nx-amzn-RequestId: 1\r\n"


def seeds():
    made = [
        _OK + b"Content-Length: 2\r\n\r\n{}",
        _OK + b"Content-Length: 2\r\nConnection: close\r\n\r\n{}",
        _OK + b"Content-Length: 200\r\n\r\n" + b"x" * 200,
        _OK + b"Content-Length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\n\r\n",
        _OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\na\r\n0123456789\r\n0\r\n\r\n",
        _OK + b"Transfer-Encoding: chunked\r\nTrailer: x\r\n\r\n2;a=b\r\n{}\r\n0\r\nx: y\r\n\r\n",
        _OK + b"\r\nuntil it closes",
        b"HTTP/1.1 100 Continue\r\n\r\n" + _OK + b"Content-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.0 400 Bad Request\r\nContent-Length: 30\r\n\r\n" + b"y" * 30,
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
    ]
    return [size + answer for answer in made for size in (b"\x01", b"\x07", b"@")]


def fuzz(data):
    """Where an answer is cut makes no difference, but that empty lines behind it may pass if they come with it."""
    size, came = max(1, *data[:1], 0), data[1:]
    at_once, in_pieces = heard(came, len(came) or 1), heard(came, size)
    assert at_once[:-1] == in_pieces[:-1]
    assert at_once[-1] >= in_pieces[-1]


def heard(came, size):
    """Of an answer in pieces of a size: what it is, and at last whether another may follow."""
    answer = Answer()
    try:
        for start in range(0, len(came), size):
            piece = memoryview(came)[start : start + size]
            while piece and answer.room is not None:
                fits = min(len(piece), len(answer.room))
                answer.room[:fits] = piece[:fits]
                answer.filled(fits)
                piece = piece[fits:]
            if piece:
                answer.feed(piece)
        keeps_alive = answer.keeps_alive
        answer.end()
    except Broken:
        return None, False
    assert answer.has_head
    assert answer.is_whole
    assert answer.status >= 200
    return answer.status, answer.headers, bytes(answer.take()), keeps_alive
