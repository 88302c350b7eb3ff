"""The loop of calls for records, in virtual time: its pace, and the care for its iterator."""

from __future__ import annotations

from contextlib import aclosing
from random import Random

import anyio
import pytest
from msgspec.structs import replace

from poller.aws_errors import BadArgument, Expired, NotFound
from poller.errors import PositionLost, SourceGone, Unavailable
from poller.events import Polled
from poller.model import TRIM_HORIZON, Position, SequenceNumber, Shard, ShardId
from poller.records import Page
from poller.rules.pacing import DYNAMODB, KINESIS
from poller.sources.polling import Answer, ShardPolling
from poller.sources.read_to import ReadTo
from tests.builders import numbers, record, records
from tests.fakes import Heard
from tests.virtual import EPOCH, run_virtually

SHARD = ShardId("shard-0")
OPEN = (Shard(SHARD),)


class ScriptedCalls:
    """Plays answers one after another; an exception is raised; after the last one every answer is empty."""

    def __init__(self, *script, listed=OPEN):
        self.script = list(script)
        self.listed = listed
        self.positions = []
        self.moments = []
        self.iterators = []

    async def iterator(self, shard, position):
        await anyio.sleep(0.001)
        self.positions.append(str(position))
        return f"iterator-{len(self.positions)}"

    async def records(self, shard, iterator):
        self.moments.append(anyio.current_time())
        self.iterators.append(iterator)
        await anyio.sleep(0.001)
        item = self.script.pop(0) if self.script else Answer((), "next", 0.0)
        if isinstance(item, Exception):
            raise item
        return item

    async def find(self, shard):
        return {each.id: each for each in self.listed}.get(shard)

    async def is_closed(self, shard):
        found = await self.find(shard)
        return found is not None and found.closed


def answer(*of, iterator="next", behind=0.0, ended=False):
    return Answer(records(*of), iterator, behind, ended)


def read(calls, *, seconds=30.0, position=TRIM_HORIZON, pace=KINESIS, hold=0.0, skip_before=None):
    """All records read in so many seconds, each page held for ``hold``; what was heard; whether it ended."""
    heard, got, ended = Heard(), [], []

    async def main():
        polling = ShardPolling(
            calls,
            SHARD,
            position,
            pace=pace,
            mapping="m",
            observer=heard,
            random=Random(1),
            skip_before=skip_before,
        )
        with anyio.move_on_after(seconds):
            async with aclosing(polling.pages()) as pages:
                async for page in pages:
                    got.extend(numbers(page.records))
                    ended.append(page.ended)
                    await anyio.sleep(hold)

    run_virtually(main)
    return got, heard, bool(ended and ended[-1])


def gaps(calls):
    return [b - a for a, b in zip(calls.moments, calls.moments[1:], strict=False)]


def test_an_idle_kinesis_shard_is_asked_once_a_second():
    """R-KIN-1, R-PORT-9."""
    calls = ScriptedCalls()
    read(calls, seconds=30)
    assert 29 <= len(calls.moments) <= 31


def test_an_idle_dynamodb_shard_is_asked_four_times_a_second():
    """R-DDB-1."""
    calls = ScriptedCalls()
    read(calls, seconds=30, pace=DYNAMODB)
    assert 116 <= len(calls.moments) <= 121


def test_a_shard_that_is_behind_is_read_at_once_but_within_five_calls_a_second():
    """R-KIN-1, R-KIN-2, R-KIN-5."""
    calls = ScriptedCalls(*[answer(n, behind=60.0) for n in range(1, 101)])
    read(calls, seconds=10)
    for start in calls.moments:
        assert sum(start <= at < start + 1 for at in calls.moments) <= 5
    assert len(calls.moments) >= 40


def test_dynamodb_goes_on_at_once_while_answers_hold_records():
    """R-DDB-1, R-DDB-2: it tells no lag."""
    calls = ScriptedCalls(*[answer(n, behind=None) for n in range(1, 21)])
    read(calls, seconds=5, pace=DYNAMODB)
    assert max(gaps(calls)[:19]) < 0.15


def test_shards_that_start_together_do_not_poll_together():
    async def first_call(seed):
        calls = ScriptedCalls()
        polling = ShardPolling(
            calls, SHARD, TRIM_HORIZON, pace=KINESIS, mapping="m", observer=Heard(), random=Random(seed)
        )
        async with aclosing(polling.pages()) as pages:
            await anext(pages)
        return calls.moments[0]

    starts = [run_virtually(lambda seed=seed: first_call(seed)) for seed in range(20)]
    assert max(starts) - min(starts) > 0.7


def test_an_iterator_that_grew_old_while_a_page_was_held_is_renewed_before_it_expires():
    """R-KIN-3: a handler of six minutes."""
    calls = ScriptedCalls(answer(1), answer(2))
    got, heard, _ = read(calls, seconds=800, hold=360.0)
    assert got == [1, 2]
    assert calls.positions[:2] == ["TRIM_HORIZON", "AFTER:1"]
    assert not [event for event in heard.of(Polled) if event.result == "expired"]


def test_a_dynamodb_iterator_lives_longer():
    """R-DDB-2: fifteen minutes."""
    calls = ScriptedCalls(answer(1), answer(2))
    read(calls, seconds=700, hold=360.0, pace=DYNAMODB)
    assert calls.positions == ["TRIM_HORIZON"]


def test_after_an_expired_iterator_reading_goes_on_behind_the_last_record():
    """R-KIN-3: never at the start of the mapping."""
    calls = ScriptedCalls(answer(5, 6), Expired("old"), answer(7))
    got, heard, _ = read(calls)
    assert got == [5, 6, 7]
    assert calls.positions == ["TRIM_HORIZON", "AFTER:6"]
    assert [event.result for event in heard.of(Polled)][:3] == ["records", "expired", "records"]


def test_an_iterator_that_expires_before_the_first_record_starts_where_it_was():
    calls = ScriptedCalls(answer(), Expired("old"), answer(7))
    got, _, _ = read(calls, position=Position.at_timestamp(1234.5))
    assert got == [7]
    assert calls.positions == ["AT_TIMESTAMP:1234.500"] * 2


def test_an_empty_answer_moves_the_iterator_on():
    """R-KIN-4."""
    calls = ScriptedCalls(answer(iterator="a"), answer(iterator="b"), answer(1, iterator="c"))
    got, _, _ = read(calls, seconds=5)
    assert calls.iterators[:4] == ["iterator-1", "a", "b", "c"]
    assert got == [1]


def test_the_last_answer_of_a_shard_may_hold_records():
    """R-KIN-4: records together with the end."""
    got, _, ended = read(ScriptedCalls(answer(1, 2, iterator=None, ended=True)))
    assert (got, ended) == ([1, 2], True)


def test_an_end_that_the_answer_does_not_prove_is_believed_when_nothing_follows_on_a_closed_shard():
    """R-DDB-5: DynamoDB names no children."""
    nothing = answer(iterator=None)
    calls = ScriptedCalls(answer(1, iterator=None), nothing, nothing, listed=(Shard(SHARD, closed=True),))
    got, _, ended = read(calls, pace=DYNAMODB)
    assert (got, ended) == ([1], True)
    assert calls.positions == ["TRIM_HORIZON", "AFTER:1", "AFTER:1"]


def test_an_end_is_not_believed_on_an_answer_that_is_older_than_the_closing():
    """It may have been made before the last records were put, and come late."""
    calls = ScriptedCalls(
        answer(iterator=None), answer(1, iterator=None), answer(iterator=None), listed=(Shard(SHARD, closed=True),)
    )
    assert read(calls)[::2] == ([1], True)


def test_a_missing_iterator_with_records_behind_it_loses_none_of_them():
    calls = ScriptedCalls(
        answer(1, iterator=None),
        answer(2),
        answer(iterator=None),
        answer(iterator=None),
        listed=(Shard(SHARD, closed=True),),
    )
    got, _, ended = read(calls)
    assert (got, ended) == ([1, 2], True)


@pytest.mark.parametrize("listed", [(Shard(SHARD),), ()])
def test_a_missing_iterator_on_a_shard_that_is_not_closed_is_not_its_end(listed):
    calls = ScriptedCalls(answer(1), answer(iterator=None), answer(2), listed=listed)
    got, heard, ended = read(calls)
    assert (got, ended) == ([1, 2], False)
    assert calls.positions == ["TRIM_HORIZON", "AFTER:1"]
    assert any("open" in event.problem for event in heard.of(Polled))


def test_throttles_and_errors_back_off_and_never_end_the_reading():
    """R-KIN-7, R-DDB-7."""
    troubles = [Unavailable("slow down", throttled=True)] * 3 + [Unavailable("500")] * 10
    calls = ScriptedCalls(*troubles, answer(1))
    got, heard, _ = read(calls, seconds=120)
    assert got == [1]
    results = [event.result for event in heard.of(Polled)]
    assert results[:3] == ["throttled"] * 3
    assert results[3:13] == ["error"] * 10
    pauses = gaps(calls)[:13]
    assert pauses[0] < 0.3
    assert pauses[1] > 0.35
    assert 9 < max(pauses) < 12


def test_an_iterator_is_suspected_after_several_errors_and_asked_for_anew():
    calls = ScriptedCalls(answer(1), *[Unavailable("500")] * 3, answer(2))
    got, _, _ = read(calls, seconds=60)
    assert got == [1, 2]
    assert calls.positions == ["TRIM_HORIZON", "AFTER:1"]


def test_an_iterator_that_is_refused_is_replaced():
    calls = ScriptedCalls(answer(1), BadArgument("of another life"), answer(2))
    got, _, _ = read(calls)
    assert got == [1, 2]


def test_a_trimmed_position_is_told_to_the_shard():
    """R-DDB-6."""
    with pytest.raises(PositionLost):
        read(ScriptedCalls(answer(1), PositionLost("trimmed")))


def test_a_refused_start_without_a_number_is_a_trouble_like_others():
    class Refusing(ScriptedCalls):
        async def iterator(self, shard, position):
            if not self.positions:
                self.positions.append(str(position))
                raise BadArgument("odd")
            return await super().iterator(shard, position)

    got, heard, _ = read(Refusing(answer(1)), position=Position.at_timestamp(1.5))
    assert got == [1]
    assert "error" in [event.result for event in heard.of(Polled)]


def test_a_trim_before_the_first_record_is_no_loss_of_a_position():
    calls = ScriptedCalls(PositionLost("trimmed while it was fetched"), answer(9))
    got, _, _ = read(calls)
    assert got == [9]


def test_a_shard_that_is_missed_twice_has_left_the_stream():
    """R-SHARD-3."""
    calls = ScriptedCalls(NotFound("no such shard"), NotFound("no such shard"), listed=())
    with pytest.raises(PositionLost) as caught:
        read(calls)
    assert caught.value.shard_gone
    calls = ScriptedCalls(NotFound("lagging"), answer(1))
    assert read(calls)[0] == [1]


def test_lost_permission_ends_the_reading_and_says_so():
    """R-STATE-8."""
    with pytest.raises(SourceGone):
        read(ScriptedCalls(SourceGone("AccessDenied")))


def test_records_are_compared_as_numbers_and_never_given_twice():
    """R-KIN-10, R-DDB-8, R-PORT-7: "99" is less than "100"."""
    calls = ScriptedCalls(answer(98, 99), answer(99, 100, 101), answer(100, 102))
    assert read(calls)[0] == [98, 99, 100, 101, 102]
    calls = ScriptedCalls(answer(99, 100))
    assert read(calls, position=Position.after(SequenceNumber("99")))[0] == [100]


def test_an_answer_out_of_order_loses_no_record():
    """No service should give one; what was not read yet is read, in order."""
    calls = ScriptedCalls(answer(5, 5, 4, 6), answer(3, 8, 7))
    assert read(calls)[0] == [4, 5, 6, 7, 8]


def test_records_before_a_moment_are_left_out_until_the_first_one_after_it():
    """R-POS-4, R-DDB-10, R-KIN-11: arrival times need not be monotonic."""
    early, late = EPOCH - 10, EPOCH + 10
    page = (record(1, arrived_at=early), record(2, arrived_at=late), record(3, arrived_at=early))
    calls = ScriptedCalls(Answer(page, "next", 0.0))
    assert read(calls, position=Position.at_timestamp(EPOCH), skip_before=EPOCH)[0] == [2, 3]


def test_a_trim_among_the_records_that_are_left_out_is_no_loss_and_brings_none_of_them():
    """R-DDB-6, R-DDB-10: LATEST is a moment, and the oldest records before it may go while they are passed over."""
    early = [Answer((record(number, arrived_at=EPOCH - 10),), "next", 0.0) for number in (1, 2)]
    calls = ScriptedCalls(early[0], PositionLost("trimmed"), early[1], answer(3))
    got, heard, _ = read(calls, position=Position.at_timestamp(EPOCH), skip_before=EPOCH)
    assert got == [3]
    assert [event.result for event in heard.of(Polled)][:4] == ["records", "error", "records", "records"]
    assert calls.positions == [str(Position.at_timestamp(EPOCH))] * 2


def test_a_closed_shard_of_records_that_are_all_left_out_comes_to_its_end():
    """R-DDB-5, R-DDB-10: else its children would wait until its records are trimmed."""
    early = [Answer((record(number, arrived_at=EPOCH - 10),), "next") for number in (1, 2)]
    last = Answer((record(3, arrived_at=EPOCH - 10),), None)
    closed = (Shard(SHARD, closed=True),)
    calls = ScriptedCalls(*early, last, answer(iterator=None), answer(iterator=None), listed=closed)
    got, _, ended = read(calls, pace=DYNAMODB, position=Position.at_timestamp(EPOCH), skip_before=EPOCH)
    assert (got, ended) == ([], True)
    assert calls.positions[:2] == [str(Position.at_timestamp(EPOCH)), "AFTER:3"]


def test_a_page_of_which_everything_is_left_out_is_not_the_end_of_the_news():
    """I12: what is wanted may follow, and be as old as the moment."""
    early, between = record(1, arrived_at=EPOCH - 10), record(2, arrived_at=EPOCH - 5)
    read_to = ReadTo(Position.at_timestamp(EPOCH), EPOCH)
    for came, left_out_at in (((early, between), EPOCH), ((), None), ((record(3, arrived_at=EPOCH + 1),), None)):
        page = Page(read_to.unread(came), left_out_at=read_to.left_out_at)
        assert page.left_out_at == left_out_at
        assert page.caught_up is (came == ())


def test_an_answer_that_is_given_twice_is_as_old_as_the_first_time():
    """I12: it leads to where it was asked from; the consumer held us for long, and much may have come meanwhile."""
    calls = ScriptedCalls(answer(1, iterator="a"), answer(iterator="b"), answer(iterator="b"), answer(iterator="c"))

    async def main():
        took = []
        polling = ShardPolling(
            calls, SHARD, TRIM_HORIZON, pace=DYNAMODB, mapping="m", observer=Heard(), random=Random(1)
        )
        async with aclosing(polling.pages()) as pages:
            async for page in pages:
                took.append(round(page.took_seconds))
                if len(took) == 4:
                    break
                await anyio.sleep(20 if len(took) == 2 else 0)
        return took

    assert run_virtually(main) == [0, 0, 20, 0]
    assert calls.iterators == ["iterator-1", "a", "b", "b"]


def test_an_answer_that_holds_only_what_was_read_is_not_the_end_of_the_news():
    """I12: DynamoDB does not say how far behind it is, so that its age would be told as nothing."""
    read_to = ReadTo(TRIM_HORIZON)
    one = (record(1, arrived_at=EPOCH), record(2, arrived_at=EPOCH + 5))
    assert (read_to.unread(one), read_to.left_out_at) == (one, None)
    assert (read_to.unread(one), read_to.left_out_at) == ((), EPOCH + 5)
    assert not Page((), left_out_at=read_to.left_out_at).caught_up
    assert (read_to.unread(()), read_to.left_out_at) == ((), None)


def test_an_iterator_behind_what_was_left_out_that_is_refused_begins_anew():
    """R-DDB-6: what was left out last has been trimmed meanwhile; it was not wanted."""
    page = Answer((record(1, arrived_at=EPOCH - 10),), "next")
    calls = ScriptedCalls(page, Expired("expired"), PositionLost("trimmed"), page, answer(2))
    got, _, _ = read(calls, pace=DYNAMODB, position=Position.at_timestamp(EPOCH), skip_before=EPOCH)
    assert got == [2]
    assert calls.positions == [str(Position.at_timestamp(EPOCH)), "AFTER:1", str(Position.at_timestamp(EPOCH))]


def aggregate(number, *indices):
    """The inner records of one sequence number, the last of which has no index."""
    return tuple(replace(record(number), inner=each) for each in (*indices, None))


def places(calls, position, *, seconds=10.0):
    """The positions behind the records that are read, and those that pages say they reach beyond them."""
    got, beyond = [], []

    async def main():
        polling = ShardPolling(calls, SHARD, position, pace=KINESIS, mapping="m", observer=Heard(), random=Random(1))
        with anyio.move_on_after(seconds):
            async with aclosing(polling.pages()) as pages:
                async for page in pages:
                    got.extend(str(each.position) for each in page.records)
                    beyond.append(page.read_to and str(page.read_to))

    run_virtually(main)
    return got, [each for each in beyond if each]


def test_all_inner_records_of_an_aggregate_are_given():
    """R-KPL-3: they have one number, and are told apart by their index."""
    calls = ScriptedCalls(
        Answer((*records(9), *aggregate(10, 0, 1, 2)), "next"), Expired("old"), Answer(aggregate(11, 3), "next")
    )
    got, _ = places(calls, TRIM_HORIZON)
    assert got == ["AFTER:9", "AFTER:10:0", "AFTER:10:1", "AFTER:10:2", "AFTER:10", "AFTER:11:3", "AFTER:11"]
    assert calls.positions == ["TRIM_HORIZON", "AFTER:10"]


@pytest.mark.parametrize(
    ("settled", "left"), [("0", ["AFTER:10:2", "AFTER:10"]), ("2", ["AFTER:10"]), ("7", ["AFTER:10"])]
)
def test_reading_goes_on_inside_an_aggregate(settled, left):
    """Its index counts the dropped ones too, so one that is no longer there has its place all the same."""
    calls = ScriptedCalls(Answer((*records(9), *aggregate(10, 0, 2)), "next"))
    assert places(calls, Position(f"AFTER:10:{settled}"))[0] == left
    assert calls.positions == [f"AFTER:10:{settled}"]


def test_an_aggregate_that_is_done_is_not_given_again():
    assert places(ScriptedCalls(Answer(aggregate(10, 0, 1), "next")), Position("AFTER:10"))[0] == []


def test_an_aggregate_that_is_no_longer_opened_comes_whole_to_a_position_inside_it():
    assert places(ScriptedCalls(answer(9, 10)), Position("AFTER:10:0"))[0] == ["AFTER:10"]


def test_an_answer_of_dropped_records_moves_the_position_on():
    """R-KPL-4: else they would be fetched for ever, and told as dropped each time."""
    calls = ScriptedCalls(
        Answer(records(9), "next", read_to=Position("AFTER:10")),
        Expired("old"),
        Answer((), "next", read_to=Position("AFTER:11")),
        Expired("old"),
    )
    assert places(calls, TRIM_HORIZON) == (["AFTER:9"], ["AFTER:10", "AFTER:11"])
    assert calls.positions == ["TRIM_HORIZON", "AFTER:10", "AFTER:11"]


def test_a_page_never_reaches_back():
    """As an answer may that repeats what was read."""
    calls = ScriptedCalls(answer(9, 12), Answer(records(9), "next", read_to=Position("AFTER:10")))
    assert places(calls, TRIM_HORIZON) == (["AFTER:9", "AFTER:12"], [])


def test_an_answer_of_dropped_records_is_no_proof_of_the_end():
    """The shard may hold more behind them."""
    calls = ScriptedCalls(
        answer(iterator=None),
        Answer((), None, read_to=Position("AFTER:10")),
        answer(11, iterator=None),
        answer(iterator=None),
        listed=(Shard(SHARD, closed=True),),
    )
    assert read(calls)[::2] == ([11], True)
    assert calls.positions == ["TRIM_HORIZON", "TRIM_HORIZON", "AFTER:10", "AFTER:11"]


def test_dropped_records_are_told_as_records():
    """The stream gave some; only an answer without any is empty."""
    _, heard, _ = read(ScriptedCalls(Answer((), "next", read_to=Position("AFTER:10"))), seconds=2)
    assert [event.result for event in heard.of(Polled)][:2] == ["records", "empty"]
