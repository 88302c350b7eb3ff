"""The canned endpoint over HTTP/2: this file is a connection for clients that speak nothing else, as the KCL does.

They begin with the preface at once, in the clear, on the port that HTTP/1.1 has too.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded, StreamReset

PREFACE = b"PRI * HTTP/2.0"
"""What stands where HTTP/1.1 has a request's head."""

_HEADERS = [(":status", "200"), ("content-type", "application/x-amz-json-1.1"), ("x-amzn-requestid", "r")]


class Http2Connection(asyncio.Protocol):
    """Takes a transport over; ``answer`` gives the body for an operation and what is asked of it."""

    def __init__(self, transport: asyncio.Transport, answer: Callable[[str, dict], bytes]) -> None:
        self._transport = transport
        self._answer = answer
        self._h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self._asked: dict[int, tuple[str, bytearray]] = {}
        self._unsent: dict[int, bytes] = {}
        self._h2.initiate_connection()
        transport.set_protocol(self)

    def data_received(self, data: bytes) -> None:
        for event in self._h2.receive_data(data):
            if isinstance(event, RequestReceived):
                target = dict(event.headers).get("x-amz-target", "")
                self._asked[event.stream_id] = (target.rpartition(".")[2], bytearray())
            elif isinstance(event, DataReceived):
                self._asked[event.stream_id][1].extend(event.data)
                self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, StreamEnded):
                self._give(event.stream_id)
            elif isinstance(event, StreamReset):
                self._asked.pop(event.stream_id, None)
                self._unsent.pop(event.stream_id, None)
        for stream in list(self._unsent):
            self._send(stream)
        self._transport.write(self._h2.data_to_send())

    def _give(self, stream: int) -> None:
        operation, question = self._asked.pop(stream)
        body = self._answer(operation, json.loads(question or b"{}"))
        self._h2.send_headers(stream, [*_HEADERS, ("content-length", str(len(body)))])
        self._unsent[stream] = body

    def _send(self, stream: int) -> None:
        """As much as the client has room for; the rest when it says that it has."""
        body, sent = self._unsent[stream], 0
        while (room := min(self._h2.local_flow_control_window(stream), self._h2.max_outbound_frame_size)) > 0:
            self._h2.send_data(stream, body[sent : sent + room], end_stream=sent + room >= len(body))
            sent += room
            if sent >= len(body):
                del self._unsent[stream]
                return
        self._unsent[stream] = body[sent:]
