"""What is read from an event stream is what the SDK reads from it, however the network cuts it up."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack

import botocore.session
import httpx
import pytest
from botocore.eventstream import EventStream
from botocore.exceptions import EventStreamError
from botocore.parsers import EventStreamJSONParser
from hypothesis import given
from hypothesis import strategies as st

from poller.errors import SourceGone, Unavailable
from poller.sources.subscription import Subscription
from tests.sources.pushing import CHILDREN, event, exception, initial_response, message, raw

SHAPE = (
    botocore.session.get_session()
    .get_service_model("kinesis")
    .operation_model("SubscribeToShard")
    .output_shape.members["EventStream"]
)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
datas = st.binary(max_size=40).map(lambda data: data.hex())
stamps = st.one_of(st.integers(0, 2**31), st.floats(0, 2**31, allow_nan=False).map(lambda at: round(at, 3)))
raws = st.builds(lambda n, key, data, at: raw(n, key=key, data=data, at=at), st.integers(1), texts, datas, stamps)
events = st.builds(
    lambda of, to, behind, children: event(*of, to=to, behind=behind, ChildShards=children),
    st.lists(raws, max_size=3),
    st.one_of(st.integers(0).map(str), st.none()),
    st.integers(0, 10**9),
    st.sampled_from([None, [], CHILDREN]),
)
others = st.sampled_from(
    [
        initial_response(),
        message({":event-type": "Weather", ":content-type": "text/plain", ":message-type": "event"}, b"fine"),
    ]
)
ends = st.sampled_from(
    [
        b"",
        exception("ResourceInUseException"),
        exception("KMSAccessDeniedException"),
        message({":message-type": "error", ":error-code": "InternalFailureException", ":error-message": "oh"}, b""),
    ]
)


@st.composite
def cut_streams(draw):
    """A whole stream, and the pieces in which it comes."""
    whole = b"".join(draw(st.lists(st.one_of(events, others), max_size=5))) + draw(ends)
    cuts = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    return whole, [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]


class Pieces(httpx.AsyncByteStream):
    def __init__(self, pieces):
        self._pieces = pieces

    async def __aiter__(self):
        for piece in self._pieces:
            yield piece


class Whole:
    """A body as the SDK's own reader wants it."""

    def __init__(self, whole):
        self._whole = whole

    def stream(self):
        yield self._whole


def read(pieces):
    """The events, and the code of the error that ended them, empty if there was none."""

    async def main():
        subscription = Subscription(httpx.Response(200, stream=Pieces(pieces)), SHAPE, "subscribe", AsyncExitStack())
        got = []
        try:
            while (event := await subscription.event()) is not None:
                got.append(event)
        except (Unavailable, SourceGone) as problem:
            return got, str(problem)
        finally:
            await subscription.aclose()
        return got, ""

    return asyncio.run(main())


def read_by_the_sdk(whole):
    parser = EventStreamJSONParser(timestamp_parser=lambda at: at, blob_parser=lambda data: data)
    got = []
    try:
        for parsed in EventStream(Whole(whole), SHAPE, parser, "SubscribeToShard"):
            got.append(parsed["SubscribeToShardEvent"])
    except EventStreamError as error:
        return got, error.response["Error"]["Code"]
    return got, ""


@given(cut_streams())
def test_every_stream_is_read_as_the_sdk_reads_it(stream):
    whole, pieces = stream
    got, problem = read(pieces)
    expected, code = read_by_the_sdk(whole)
    assert got == expected
    assert bool(problem) == bool(code)
    assert code in problem


@given(cut_streams(), st.data())
def test_a_stream_that_is_cut_off_anywhere_is_no_end(stream, data):
    """What came whole is read; the rest is a trouble, unless the cut lies between two events."""
    whole, _ = stream
    length = data.draw(st.integers(0, len(whole)))
    got, problem = read([whole[:length]])
    expected, code = read_by_the_sdk(whole[:length])
    assert got == expected
    if not code:
        assert bool(problem) == (length not in borders(whole))


def borders(whole):
    """The places between two messages."""
    at, found = 0, {0}
    while at < len(whole):
        at += int.from_bytes(whole[at : at + 4])
        found.add(at)
    return found


@given(st.lists(events, min_size=1, max_size=3), st.data())
def test_a_flipped_bit_is_never_taken_for_an_event(frames, data):
    whole = b"".join(frames)
    at = data.draw(st.integers(0, len(whole) - 1))
    flipped = whole[:at] + bytes([whole[at] ^ 1 << data.draw(st.integers(0, 7))]) + whole[at + 1 :]
    got, problem = read([flipped])
    before = max(border for border in borders(whole) if border <= at)
    assert got == read_by_the_sdk(whole[:before])[0]
    assert problem


def test_numbers_and_base64_stay_as_they_came():
    """R-EVT-2: they go into Lambda's event as they are."""
    ((got,), _) = read([event(raw(7, data="AAEC/w==", at=1545084650.987))])
    (record,) = got["Records"]
    assert json.loads(json.dumps(record)) == raw(7, data="AAEC/w==", at=1545084650.987)


@pytest.mark.parametrize("piece", [2**14, 2**16])
def test_the_largest_record_goes_through(piece):
    """R-KIN-8: 10 MiB of data."""
    whole = event(raw(1, data="A" * (14 * 2**20)))
    ((got,), problem) = read([whole[at : at + piece] for at in range(0, len(whole), piece)])
    assert len(got["Records"][0]["Data"]) == 14 * 2**20
    assert not problem
