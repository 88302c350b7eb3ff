"""What comes back over a wire, whatever the wire: this file is the bounded reading of an answer, and how it is told."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterable, Mapping
from email.utils import parsedate_to_datetime

import aiohttp
from botocore.exceptions import BotoCoreError

from poller.http_errors import told

ANSWER_BYTES_MAX = 6_291_556
"""Lambda's cap on an answer, here on the bytes after decompression, so that no small answer can fill the memory."""

TOO_LARGE = f"Response payload size exceeded maximum allowed payload size ({ANSWER_BYTES_MAX} bytes)."
"""Lambda's words."""

PART_BYTES = 64 * 1024

_EXCERPT = 300
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


class Unreadable(Exception):
    """The function answered, and its answer cannot be used: too large, broken off, or packed in an unknown way."""


async def read_answer(parts: AsyncIterable[bytes], encoding: str) -> bytes:
    """The answer that comes in ``parts``, unpacked as its ``Content-Encoding`` says. Raises `Unreadable`.

    Never holds more than the cap allows. Proxies pack what nobody asked them to, so gzip and deflate are understood
    everywhere.
    """
    try:
        match encoding.strip().lower():
            case "" | "identity":
                return await _read_plain(parts)
            case "gzip" | "x-gzip" | "deflate":
                return await _read_packed(parts)
    except TimeoutError as error:
        raise Unreadable("the answer did not end in time") from error
    except (aiohttp.ClientError, BotoCoreError, OSError, zlib.error) as error:
        raise Unreadable(f"the answer broke off: {told(error)}") from error
    raise Unreadable(f"the answer is packed in a way that nobody asked for: {in_short(encoding)}")


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """The wish in ``Retry-After``, seconds or a date; a date is measured against the answer's own ``Date``.

    The names in ``headers`` are in lower case, or their case does not matter. ``None``: no wish that makes sense.
    """
    wish = headers.get("retry-after", "").strip()
    if wish.isascii() and wish.isdigit():
        return float(wish)
    try:
        until, sent = parsedate_to_datetime(wish), parsedate_to_datetime(headers.get("date", ""))
        return max(0.0, (until - sent).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None


def in_short(said: str | bytes) -> str:
    """The beginning of a text, in one line: what others say has any length, and goes into logs and stores.

    Half of a surrogate pair, which JSON can spell and UTF-8 cannot, is escaped.
    """
    text = said.decode(errors="replace") if isinstance(said, bytes) else said
    words = " ".join(text[: 2 * _EXCERPT].split()).encode(errors="backslashreplace").decode()
    return words if len(words) <= _EXCERPT else f"{words[:_EXCERPT]}..."


async def _read_plain(parts: AsyncIterable[bytes]) -> bytes:
    body = bytearray()
    async for part in parts:
        body += part
        if len(body) > ANSWER_BYTES_MAX:
            raise Unreadable(TOO_LARGE)
    return bytes(body)


async def _read_packed(parts: AsyncIterable[bytes]) -> bytes:
    """Unpacks one byte more than is allowed at most, whatever a part would grow to."""
    body, unpacking, packed = bytearray(), zlib.decompressobj(_GZIP_OR_ZLIB), 0
    async for part in parts:
        packed += len(part)
        body += unpacking.decompress(part, ANSWER_BYTES_MAX + 1 - len(body))
        if len(body) > ANSWER_BYTES_MAX:
            raise Unreadable(TOO_LARGE)
        if unpacking.unused_data:
            raise Unreadable("the answer goes on behind its end")
    if packed and not unpacking.eof:
        raise Unreadable("the answer broke off")
    return bytes(body)
