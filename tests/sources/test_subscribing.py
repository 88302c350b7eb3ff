"""The loop of subscriptions, in virtual time: their renewal, their conflicts, and that nothing is lost or repeated."""

from __future__ import annotations

from contextlib import aclosing, suppress
from random import Random

import anyio
import pytest
from msgspec.structs import replace

from poller.aws_errors import BadArgument, InUse, NotFound
from poller.errors import PositionLost, SourceGone, Unavailable
from poller.events import Polled
from poller.model import TRIM_HORIZON, Position, Shard, ShardId
from poller.records import Page
from poller.rules.pacing import FANOUT
from poller.sources.polling import Answer
from poller.sources.subscribing import ShardSubscribing
from tests.builders import numbers, record, records
from tests.fakes import Heard
from tests.virtual import EPOCH, VirtualClock, run_virtually

SHARD = ShardId("shard-0")
OPEN = (Shard(SHARD),)
CLOSED = (Shard(SHARD, closed=True),)
HEARTBEAT_SECONDS = 5.0
SERVICE_LIFE_SECONDS = 300.0


def answer(*of, to=None, behind=0.0, ended=False, read_to=None):
    """An event with records ``of``; the subscription goes on from the last one, or from ``to``."""
    following = to if to is not None else str(of[-1]) if of else "0"
    return Answer(records(*of), None if ended else following, behind, ended, read_to)


class Scripted:
    """Plays subscriptions one after another: a refusal to raise, or a list of what is pushed.

    In a list, a number is a silence of so many seconds, an exception is raised, ``None`` is the end. A list that runs
    out goes on with heart-beats until the service's five minutes are over.
    """

    def __init__(self, *subscriptions, listed=OPEN, rest=(), known_closed=False):
        self.subscriptions = list(subscriptions)
        self.listed = listed
        self.rest = rest
        self.known_closed = known_closed
        self.starts = []
        self.moments = []
        self.rereads = []
        self.open = 0
        self.closed = 0

    async def subscribe(self, shard, position, continuation):
        assert self.open == 0, "a subscription was left open"
        self.moments.append(anyio.current_time())
        self.starts.append(continuation or str(position))
        await anyio.sleep(0.05)
        script = self.subscriptions.pop(0) if self.subscriptions else []
        if isinstance(script, Exception):
            raise script
        self.open += 1
        return Played(self, script)

    async def find(self, shard):
        return {each.id: each for each in self.listed}.get(shard)

    async def is_closed(self, shard):
        found = await self.find(shard)
        return found is not None and found.closed

    def was_closed(self, shard):
        return self.known_closed

    async def reread(self, shard, position):
        self.rereads.append(str(position))
        for page in self.rest:
            yield page


class Played:
    def __init__(self, calls, script):
        self._calls = calls
        self._script = list(script)
        self._ends_at = anyio.current_time() + SERVICE_LIFE_SECONDS
        self._continuation = "0"

    async def answer(self):
        while self._script:
            item = self._script.pop(0)
            if isinstance(item, float):
                await anyio.sleep(item)
            elif isinstance(item, Exception):
                raise item
            else:
                self._continuation = item.iterator if item else None
                return item
        if anyio.current_time() + HEARTBEAT_SECONDS > self._ends_at:
            await anyio.sleep(max(0.0, self._ends_at - anyio.current_time()))
            return None
        await anyio.sleep(HEARTBEAT_SECONDS)
        return Answer((), self._continuation, 0.0)

    async def aclose(self):
        self._calls.open -= 1
        self._calls.closed += 1


def read(calls, *, seconds=60.0, position=TRIM_HORIZON, hold=0.0, random=None):
    """All records read in so many seconds, each page held for ``hold``; what was heard; whether it ended."""
    heard, got, ended = Heard(), [], []

    async def main():
        made = subscribing(calls, position=position, heard=heard, random=random)
        with anyio.move_on_after(seconds):
            async with aclosing(made.pages()) as pages:
                async for page in pages:
                    got.extend(numbers(page.records))
                    ended.append(page.ended)
                    await anyio.sleep(hold)

    run_virtually(main)
    assert calls.open == 0, "nothing stays open when the reading ends"
    return got, heard, bool(ended and ended[-1])


def subscribing(calls, *, position=TRIM_HORIZON, heard=None, random=None, due=None):
    return ShardSubscribing(
        calls,
        SHARD,
        position,
        pace=FANOUT,
        due={} if due is None else due,
        mapping="m",
        observer=heard or Heard(),
        clock=VirtualClock(),
        random=random or Random(1),
    )


class Pushing(Scripted):
    """Pushes at moments of its own, whether or not anybody reads: each event is there from its moment on."""

    def __init__(self, *events):
        super().__init__()
        self.events = list(events)

    async def subscribe(self, shard, position, continuation):
        await super().subscribe(shard, position, continuation)
        return self

    async def answer(self):
        at, event = self.events.pop(0)
        await anyio.sleep(max(0.0, at - anyio.current_time()))
        return event

    async def aclose(self):
        self.open -= 1


def told(heard):
    return [event.result for event in heard.of(Polled) if event.result not in ("records", "empty")]


def gaps(calls):
    return [b - a for a, b in zip(calls.moments, calls.moments[1:], strict=False)]


def ages(calls, hold=0.0):
    """When each page came and how old it may be; the first one was held for so long."""

    async def main():
        found = []
        async with aclosing(subscribing(calls).pages()) as pages:
            async for page in pages:
                found.append((round(anyio.current_time(), 1), page.took_seconds))
                if not calls.events:
                    break
                await anyio.sleep(hold if len(found) == 1 else 0)
        return found

    return run_virtually(main)


def push(at, number=None, behind=0.0):
    of = () if number is None else (record(number, arrived_at=EPOCH + at),)
    return at, Answer(of, "1", behind)


def test_an_answer_that_lay_in_a_buffer_tells_how_old_it_may_be():
    """R-WIN-8: a window is closed when the stream was read to its end after it, not when an old answer says so."""
    held = push(7), push(10, 2), push(15), push(16, 3, behind=9.0)
    calls = Pushing(push(2, 1), *held, push(205), push(210), push(212, 4), push(217))
    first, *buffered, one_late, two_late, last, after_last = ages(calls, hold=200)
    assert first == (2, pytest.approx(0, abs=1.5))
    heartbeat, of_second, after_second, with_lag = (took for at, took in buffered)
    assert {at for at, _ in buffered} == {202}
    assert 195 <= heartbeat <= 202, "it may be as old as the one before"
    assert of_second == pytest.approx(192), "no older than its record"
    assert after_second == pytest.approx(192)
    assert with_lag == 0, "it does not say that nothing more is there"
    assert one_late == (205, pytest.approx(189)), "the event loop may have stood still"
    assert two_late == (210, 0), "it had to be waited for, again"
    assert last == (212, 0)
    assert after_last == (217, 0)


@pytest.mark.parametrize("every", [1, 5])
def test_a_quiet_shard_is_up_to_date_however_often_it_says_so(every):
    """I12; kinesis-local says so each second."""
    found = ages(Pushing(*(push(at) for at in range(3, 250, every))))
    assert max(took for _, took in found) <= 2 * every + 2
    assert {took for _, took in found[2:]} == {0}


def test_a_stall_of_the_event_loop_makes_no_old_answer_new():
    class Stalling(Pushing):
        async def answer(self):
            if len(self.events) == 4:
                await anyio.sleep(2.5)
            return await super().answer()

    found = ages(Stalling(push(2, 1), push(7), push(12), push(17), push(20, 2)), hold=200)
    assert [took for _, took in found[1:]] == [pytest.approx(204.5 - each, abs=2) for each in (0, 0, 0, 20)]


def test_what_is_pushed_is_read_in_order_with_its_lag():
    """R-EFO-2."""

    async def main():
        calls = Scripted([answer(1, 2, behind=3.0), answer(3)])
        async with aclosing(subscribing(calls).pages()) as pages:
            return await anext(pages), await anext(pages), await anext(pages)

    first, second, third = run_virtually(main)
    assert (numbers(first.records), first.behind_seconds) == ([1, 2], 3.0)
    assert (numbers(second.records), second.behind_seconds) == ([3], 0.0)
    assert (third.records, third.behind_seconds) == ((), 0.0)


def test_a_subscription_is_renewed_from_its_continuation_before_the_service_ends_it():
    """R-EFO-2, R-EFO-3: well under five minutes, at once, and without a word of trouble."""
    calls = Scripted([answer(1), answer(2)], [answer(3)], [answer(4)])
    got, heard, _ = read(calls, seconds=900)
    assert got == [1, 2, 3, 4]
    assert calls.starts == ["TRIM_HORIZON", "2", "3", "4"]
    assert all(285 < gap < 292 for gap in gaps(calls))
    assert told(heard) == []


def test_a_continuation_moves_on_although_no_records_come():
    """R-EFO-3."""
    calls = Scripted([answer(1), answer(to="17"), ConnectionCut()])
    read(calls, seconds=10)
    assert calls.starts == ["TRIM_HORIZON", "17"]


def test_a_subscription_that_the_service_ends_early_goes_on_as_soon_as_it_can():
    """R-EFO-2: a call within five seconds of an accepted one would be refused."""
    calls = Scripted([answer(1), None], [answer(2), 100.0], [answer(3)])
    got, heard, _ = read(calls, seconds=20)
    assert got == [1, 2]
    assert calls.starts == ["TRIM_HORIZON", "1"]
    assert 5.0 <= gaps(calls)[0] < 5.2
    assert told(heard) == ["expired"]


def test_a_subscription_that_breaks_off_after_a_while_goes_on_at_once():
    calls = Scripted([answer(1), 20.0, ConnectionCut()], [answer(2)])
    got, heard, _ = read(calls, seconds=40)
    assert got == [1, 2]
    assert gaps(calls)[0] < 21
    assert told(heard) == ["error"]


def test_what_comes_again_is_left_out_by_number_and_place():
    """R-KIN-10, R-EFO-3: AT repeats the record of a continuation, and a lost answer may repeat more."""
    calls = Scripted([answer(98, 99, 100), ConnectionCut()], [answer(99, 100, 101)])
    assert read(calls)[0] == [98, 99, 100, 101]
    calls = Scripted([answer(99, 100)])
    assert read(calls, position=Position("AFTER:99"))[0] == [100]


def test_inner_records_that_were_read_are_left_out():
    """R-KPL-2: a position inside an aggregate starts AT it, and its first records come again."""
    inner = (replace(record(7), inner=0), replace(record(7), inner=1), record(7), record(8))
    calls = Scripted([Answer(inner, "8", 0.0)])

    async def main():
        async with aclosing(subscribing(calls, position=Position("AFTER:7:0")).pages()) as pages:
            return await anext(pages)

    assert [(r.sequence_number, r.inner) for r in run_virtually(main).records] == [("7", 1), ("7", None), ("8", None)]


def test_an_aggregate_of_which_nothing_is_left_moves_the_position_once():
    """R-KPL-4: all its records belonged elsewhere; it may come again as any record may."""
    nothing_left = answer(to="5", read_to=Position("AFTER:5"))
    calls = Scripted([answer(1), nothing_left, ConnectionCut()], [nothing_left, answer(5, 6)])

    async def main():
        async with aclosing(subscribing(calls).pages()) as pages:
            return [await anext(pages) for _ in range(4)]

    pages = run_virtually(main)
    assert [page.end and str(page.end) for page in pages] == ["AFTER:1", "AFTER:5", None, "AFTER:6"]
    assert numbers(pages[-1].records) == [6]


@pytest.mark.parametrize("inside", [False, True])
def test_a_subscription_of_another_is_taken_over_once_it_can_be(inside):
    """R-EFO-2: whether the call is refused or the stream says so."""
    refusal = InUse("another active subscription")
    calls = Scripted([refusal] if inside else refusal, [answer(1)])
    got, heard, _ = read(calls, seconds=15)
    assert got == [1]
    assert 5.0 <= gaps(calls)[0] < 6.2
    assert told(heard) == ["throttled"]


def test_throttles_and_errors_slow_the_calls_down_and_never_end_the_reading():
    """R-KIN-7, R-EFO-2: at most one call a second."""
    troubles = [Unavailable("slow down", throttled=True)] * 8 + [Unavailable("InternalFailure")] * 8
    calls = Scripted(*troubles, [answer(1)])
    got, heard, _ = read(calls, seconds=600)
    assert got == [1]
    assert told(heard) == ["throttled"] * 8 + ["error"] * 8
    assert min(gaps(calls)) > 0.99
    assert 9.5 < gaps(calls)[15] < 11.5, "the pause is capped"


def test_troubles_are_counted_from_the_last_answer_on():
    """R-KIN-7: the pause of one that comes later is short again, and a shard that was missed before is not gone."""
    troubles = [Unavailable("InternalFailure")] * 8
    calls = Scripted(*troubles, [answer(1), 20.0, ConnectionCut()], Unavailable("again"), [answer(2)])
    assert read(calls, seconds=200)[0] == [1, 2]
    assert gaps(calls)[-1] < 1.5
    missed = [answer(1), NotFound("lagging")]
    assert read(Scripted(missed, missed, [answer(2)]))[0] == [1, 2]
    assert read(Scripted(missed, missed, [answer(2)], listed=()))[0] == [1, 2]


def test_errors_inside_the_stream_do_not_hurry_the_next_call():
    calls = Scripted(*[[Unavailable("InternalFailureException")] for _ in range(3)], [answer(1)])
    got, _, _ = read(calls, seconds=60)
    assert got == [1]
    assert min(gaps(calls)) >= 5.0


def test_a_silent_subscription_is_given_up_and_told():
    """The service speaks every five seconds."""
    calls = Scripted([answer(1), 1000.0], [answer(2)])
    got, heard, _ = read(calls, seconds=60)
    assert got == [1, 2]
    assert 30 <= gaps(calls)[0] < 32
    assert told(heard) == ["error"]


def test_a_call_that_is_never_answered_is_given_up():
    class Mute(Scripted):
        async def subscribe(self, shard, position, continuation):
            if not self.moments:
                self.moments.append(anyio.current_time())
                await anyio.sleep_forever()
            return await super().subscribe(shard, position, continuation)

    calls = Mute([answer(1)])
    got, heard, _ = read(calls, seconds=60)
    assert got == [1]
    assert 30 <= gaps(calls)[0] < 32
    assert told(heard) == ["error"]


def test_the_end_of_a_shard_ends_the_reading():
    """R-EFO-3: records of the last event are read."""
    calls = Scripted([answer(1), answer(2, ended=True)])
    got, heard, ended = read(calls)
    assert (got, ended, told(heard), len(calls.moments)) == ([1, 2], True, [], 1)


def test_a_missing_continuation_ends_nothing_while_the_shard_is_listed_as_open():
    """R-EFO-3: what goes on is the position, as there is no other place."""
    calls = Scripted([Answer(records(1), None, 0.0)], [answer(2)])
    got, heard, ended = read(calls)
    assert (got, ended) == ([1, 2], False)
    assert calls.starts == ["TRIM_HORIZON", "AFTER:1"]
    assert told(heard) == ["error"]


def test_a_listing_without_the_stream_costs_no_records_of_a_last_event():
    """R-EFO-3: the reading ends there, since who goes on does so from the last page that was given."""

    class Flickering(Scripted):
        async def is_closed(self, shard):
            raise NotFound("no such stream")

    calls = Flickering([Answer(records(1), None, 0.0)], [answer(2)])
    with pytest.raises(SourceGone):
        read(calls)
    assert calls.starts == ["TRIM_HORIZON"]


def test_a_missing_continuation_of_a_closed_shard_lets_iterators_read_the_rest():
    """R-EFO-3, R-EFO-6: no end is believed that the service does not prove."""
    rest = (Page(records(2)), Page((), ended=True))
    calls = Scripted([Answer(records(1), None, 0.0)], listed=CLOSED, rest=rest)
    assert read(calls)[0::2] == ([1, 2], True)
    assert calls.rereads == ["AFTER:1"]


def test_a_closed_shard_whose_children_are_never_named_is_read_to_its_end_by_iterators():
    """R-EFO-3, R-EFO-6: what an emulator leaves out must not keep the children from being read."""
    rest = (Page(records(3), ended=True),)
    calls = Scripted([answer(1, behind=9.0), answer(2)], known_closed=True, rest=rest)
    assert read(calls)[0::2] == ([1, 2, 3], True)
    assert calls.rereads == ["AFTER:2"]


def test_a_consumer_that_holds_a_page_for_long_goes_on_with_a_new_subscription():
    """R-EFO-4, R-PORT-3: from the last page that it was given."""
    calls = Scripted([answer(1), answer(2)], [answer(2), answer(3)], [answer(3)])
    got, heard, _ = read(calls, seconds=1100, hold=400.0)
    assert got == [1, 2, 3]
    assert calls.starts == ["TRIM_HORIZON", "1", "2"]
    assert told(heard) == []


def test_a_refused_continuation_is_done_without():
    calls = Scripted([answer(1, to="5"), ConnectionCut()], BadArgument("no such number"), [answer(2)])
    got, heard, _ = read(calls)
    assert got == [1, 2]
    assert calls.starts == ["TRIM_HORIZON", "5", "AFTER:1"]
    assert told(heard) == ["error", "error"]


@pytest.mark.parametrize("problem", [BadArgument("no such number"), PositionLost("trimmed")])
def test_a_refused_position_is_told_to_the_shard(problem):
    """R-STATE-12."""
    calls = Scripted(problem)
    with pytest.raises(PositionLost):
        read(calls, position=Position("AFTER:5"))


def test_a_refused_start_without_a_number_is_a_trouble_like_others():
    calls = Scripted(BadArgument("odd"), [answer(1)])
    got, heard, _ = read(calls, position=Position.at_timestamp(1.5))
    assert (got, told(heard)) == ([1], ["error"])


def test_a_shard_that_is_missed_twice_has_left_the_stream():
    """R-SHARD-3."""
    calls = Scripted(NotFound("no such shard"), [NotFound("no such shard")], listed=())
    with pytest.raises(PositionLost) as caught:
        read(calls)
    assert caught.value.shard_gone
    assert read(Scripted(NotFound("lagging"), [answer(1)], listed=()))[0] == [1]


def test_a_consumer_that_is_missed_twice_is_gone():
    """R-STATE-10: the shard is there, so it is not the shard."""
    with pytest.raises(SourceGone):
        read(Scripted(NotFound("no such consumer"), [NotFound("no such consumer")]))
    assert read(Scripted(NotFound("not yet"), [answer(1)]))[0] == [1]


@pytest.mark.parametrize("inside", [False, True])
def test_lost_permission_ends_the_reading_and_says_so(inside):
    """R-STATE-8, R-KIN-7: a key that may not be used is loss of access."""
    lost = SourceGone("AccessDenied")
    with pytest.raises(SourceGone):
        read(Scripted([answer(1), lost] if inside else lost))


def test_a_listing_that_fails_tells_nothing_of_the_shard():
    class Listless(Scripted):
        async def find(self, shard):
            raise Unavailable("no listing", throttled=True)

    calls = Listless(NotFound("?"), NotFound("?"), NotFound("?"), [answer(1)])
    got, heard, _ = read(calls)
    assert (got, told(heard)) == ([1], ["throttled"] * 3)


@pytest.mark.parametrize("accepted", [True, False])
def test_a_reading_minds_the_calls_of_the_one_before(accepted):
    """R-EFO-2: a shard's task that failed starts again at once, as one does whose position was lost."""
    first, due = [answer(1)] if accepted else PositionLost("trimmed"), {}
    calls = Scripted(first, [answer(2)])

    async def main():
        async with aclosing(subscribing(calls, position=Position("AFTER:1"), due=due).pages()) as pages:
            with suppress(PositionLost):
                await anext(pages)
        async with aclosing(subscribing(calls, due=due).pages()) as pages:
            await anext(pages)

    run_virtually(main)
    assert gaps(calls)[0] >= (5.0 if accepted else 0.99)


def test_shards_that_start_together_do_not_call_together():
    async def first_call(seed):
        calls = Scripted([answer(1)])
        async with aclosing(subscribing(calls, random=Random(seed)).pages()) as pages:
            await anext(pages)
        return calls.moments[0]

    starts = [run_virtually(lambda seed=seed: first_call(seed)) for seed in range(20)]
    assert max(starts) - min(starts) > 0.7


class ConnectionCut(Unavailable):
    def __init__(self):
        super().__init__("the connection was cut")


class Service:
    """One shard and one consumer as the service has them (R-EFO-2), with troubles that are drawn at random.

    Records come one a second. A call within five seconds of an accepted one is refused; a later one takes over.
    """

    def __init__(self, random, *, trouble):
        self.random = random
        self.trouble = trouble
        self.accepted_at = float("-inf")
        self.holder = None
        self.calls = []

    def reader(self, name):
        return Reader(self, name)


class Reader(Scripted):
    def __init__(self, service, name):
        super().__init__()
        self.service = service
        self.name = name

    async def subscribe(self, shard, position, continuation):
        service, now = self.service, anyio.current_time()
        assert self.open == 0, "a subscription was left open"
        self.moments.append(now)
        if service.random.random() < service.trouble:
            raise Unavailable("trouble", throttled=service.random.random() < 0.5)
        if now - service.accepted_at < 5.0:
            raise InUse("another active subscription")
        start = int(continuation) if continuation else int(position.sequence_number or 0) + 1
        self.open += 1
        service.accepted_at, service.holder = now, Stream(self, start)
        return service.holder


class Stream:
    """Pushes what is there from ``start`` on; may be cut off, fall silent, or name no continuation."""

    def __init__(self, reader, start):
        self._reader = reader
        self._next = start

    async def answer(self):
        service = self._reader.service
        await anyio.sleep(service.random.random())
        if service.holder is not self:
            raise InUse("taken over")
        if service.random.random() < service.trouble:
            match service.random.randrange(4):
                case 0:
                    return None
                case 1:
                    raise ConnectionCut
                case 2:
                    await anyio.sleep(1000)
                case _:
                    raise Unavailable("InternalFailureException")
        newest = int(anyio.current_time())
        of = range(max(1, self._next), newest + 1)[: service.random.randrange(1, 20)]
        self._next = of[-1] + 1 if of else self._next
        continuation = str(of[-1] if of else max(0, self._next - 1))
        lost = service.random.random() < service.trouble / 4
        return Answer(records(*of), None if lost else continuation, float(newest - self._next))

    async def aclose(self):
        self._reader.open -= 1


@pytest.mark.parametrize("seed", range(20))
def test_over_all_troubles_each_record_comes_once_and_in_order(seed):
    """R-EFO-2, R-EFO-3, R-KIN-7."""
    random = Random(seed)
    service = Service(random, trouble=random.choice([0.0, 0.02, 0.2, 0.4]))
    reader = service.reader("a")
    got, _, _ = read(reader, seconds=1000, random=random)
    assert got == list(range(1, len(got) + 1))
    assert len(got) > 300
    assert min(gaps(reader)) > 0.99


@pytest.mark.parametrize("seed", range(10))
def test_two_that_want_one_shard_take_turns_and_each_gets_on(seed):
    """R-EFO-2: a worker that has lost its lease and does not know it yet keeps no other from reading."""
    service = Service(Random(seed), trouble=0.0)
    got = {"a": [], "b": []}
    readers = {name: service.reader(name) for name in got}

    async def one(name):
        made = subscribing(readers[name], random=Random(f"{seed}{name}"))
        async with aclosing(made.pages()) as pages:
            async for page in pages:
                got[name].extend(numbers(page.records))

    async def main():
        with anyio.move_on_after(300):
            async with anyio.create_task_group() as tasks:
                for name in got:
                    tasks.start_soon(one, name)

    run_virtually(main)
    for name, reader in readers.items():
        assert got[name] == list(range(1, len(got[name]) + 1))
        assert len(got[name]) > 250
        assert min(gaps(reader)) > 0.99
        assert len(reader.moments) <= 300 / 5 + 1
