"""What `poller dev` shows: a line per shard, redrawn in place on a terminal."""

from __future__ import annotations

import io

from poller.dev.view import View
from poller.events import BatchInvoked, BatchRetried, LeaseTaken, PageRead, Polled, RecordsDiscarded, RecordsSettled
from poller.invocation import Condition
from poller.model import TRIM_HORIZON, Position, SequenceNumber, ShardId

SHARD = ShardId("shardId-000000000000")
ONE = SequenceNumber("1")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def told(view):
    view(LeaseTaken("orders", SHARD, TRIM_HORIZON))
    view(Polled("orders", SHARD, "records", 0.01))
    view(PageRead("orders", SHARD, 3, 300, 2.5, 0.0))
    view(BatchInvoked("orders", SHARD, "id", 3, ONE, ONE, 1, "function_error", 0.1))
    view(BatchRetried("orders", SHARD, 3, 0.2, split=True))
    view(RecordsDiscarded("orders", SHARD, Condition.RETRY_ATTEMPTS_EXHAUSTED, 1, ONE, ONE, 1, "boom"))
    view(RecordsSettled("orders", SHARD, 3, 2, Position("AFTER:3"), None))


def test_each_shard_has_a_line_with_position_lag_batches_and_retries():
    view = View(io.StringIO())
    told(view)
    head, line = view.text().splitlines()
    assert head.split() == ["MAPPING", "SHARD", "POSITION", "BEHIND", "BATCHES", "RETRIES", "DONE", "DISCARDED"]
    assert line.split() == ["orders", "shardId-000000000000", "AFTER:3", "2.5", "s", "1", "1", "3", "1"]


def test_without_a_terminal_only_news_is_printed():
    stream = io.StringIO()
    view = View(stream)
    told(view)
    view.show()
    view.show()
    assert stream.getvalue().count("AFTER:3") == 1


def test_a_terminals_table_is_redrawn_in_place_with_the_logs_last_lines():
    stream = Terminal()
    view = View(stream)
    told(view)
    for number in range(20):
        view.write(f"line {number}\n")
    view.show()
    view.show()
    assert "\x1b[" in stream.getvalue()
    assert "line 19" in stream.getvalue()
    assert "line 1\n" not in stream.getvalue()
