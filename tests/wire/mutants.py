"""Bugs of adapters put back in: this file is what the worlds behind the real client must find.

Each takes pytest's ``monkeypatch`` or anything with its ``setattr``. That a reader starts AT a sequence number instead
of AFTER it is none of them: what was read before is left out by its number, and nobody could tell.
"""

from __future__ import annotations

from dataclasses import replace

import anyio
from aiobotocore.config import AioConfig
from botocore.exceptions import ClientError

from poller import aws, aws_errors
from poller.destinations import sqs
from poller.errors import PositionLost, Unavailable
from poller.invocation import FunctionFailed, NotInvoked, Response, Succeeded
from poller.model import TRIM_HORIZON
from poller.repeating import RepeatedCall
from poller.rules.pacing import Pace
from poller.sources import kinesis
from poller.sources.dynamodb import DynamoDBSource
from poller.sources.kinesis import KinesisSource
from poller.sources.kinesis_records import RecordForm
from poller.sources.polling import Answer, ShardPolling
from poller.stores import sqlite
from poller.stores.owner_locks import OwnerLocks
from poller.targets import lambda_function
from tests.wire import session

SOURCES = (KinesisSource, DynamoDBSource)


def _answers_changed(patch, change) -> None:
    """``change`` is what becomes of each answer to a call for records."""
    for source in SOURCES:
        records = source.records

        async def changed(self, shard, iterator, records=records):
            return change(await records(self, shard, iterator))

        patch.setattr(source, "records", changed)


def missing_iterator_taken_for_the_end(patch):
    _answers_changed(patch, lambda answer: replace(answer, ended=answer.iterator is None))


def missing_iterator_taken_for_no_answer(patch):
    def strict(answer: Answer) -> Answer:
        if answer.iterator is None:
            raise Unavailable("NextShardIterator")
        return answer

    _answers_changed(patch, strict)


def last_records_of_a_shard_dropped(patch):
    _answers_changed(patch, lambda answer: answer if answer.iterator else replace(answer, records=()))


def record_without_a_number_skipped(patch):
    record = RecordForm.record

    async def opened(self, shard, raws):
        return tuple(record(self._form, shard, raw) for raw in raws if raw.get("SequenceNumber")), None

    patch.setattr(KinesisSource, "opened", opened)


def answer_without_records_taken_for_an_empty_one(patch):
    ask = RepeatedCall.ask

    async def lenient(self, question, response=None):
        answer = await ask(self, question, response)
        return {"Records": [], **answer} if self._operation == "GetRecords" else answer

    patch.setattr(RepeatedCall, "ask", lenient)


def first_page_of_list_shards_only(patch):
    async def first(self):
        page, _ = await self._shards_page(None)
        return page

    patch.setattr(KinesisSource, "_list_shards", first)


def first_page_of_describe_stream_only(patch):
    async def first(self):
        page, _ = await self._shards_page(None)
        return page

    patch.setattr(DynamoDBSource, "_list_shards", first)


def new_iterator_at_the_latest_record(patch):
    def start(position):
        kind = "TRIM_HORIZON" if position.sequence_number is None else "LATEST"
        return {"ShardIteratorType": kind}

    patch.setattr(kinesis, "_start", start)


def trimmed_position_goes_to_the_oldest_record_without_a_word(patch):
    iterator = DynamoDBSource.iterator

    async def silent(self, shard, position):
        try:
            return await iterator(self, shard, position)
        except PositionLost:
            return await iterator(self, shard, TRIM_HORIZON)

    patch.setattr(DynamoDBSource, "iterator", silent)


def unknown_code_ends_the_reader(patch):
    translate = aws_errors.translate

    def strict(error, doing):
        made = translate(error, doing)
        unknown = type(made) is Unavailable and not made.throttled and isinstance(error, ClientError)
        return RuntimeError(str(error)) if unknown else made

    patch.setattr(aws_errors, "translate", strict)


def broken_connection_ends_the_reader(patch):
    patch.setattr(aws_errors, "AWS_ERRORS", (ClientError, LookupError, TypeError, ValueError, AttributeError))


def polls_without_a_pause(patch):
    patch.setattr(kinesis, "KINESIS", Pace(idle_seconds=0.3, busy_seconds=0.1, iterator_seconds=270.0))


def the_sdk_retries_by_itself(patch):
    def insistent(**settings):
        return AioConfig(**{**settings, "retries": {"total_max_attempts": 4, "mode": "standard"}})

    patch.setattr(aws, "AioConfig", insistent)
    patch.setattr(session, "_clients", None)


def function_error_ignored(patch):
    outcome = lambda_function._outcome

    async def hopeful(*answer):
        came = await outcome(*answer)
        return Succeeded(b"", Response()) if isinstance(came, FunctionFailed) else came

    patch.setattr(lambda_function, "_outcome", hopeful)


def throttled_call_counted_as_an_attempt(patch):
    patch.setattr(lambda_function, "_refusal", lambda error, name: FunctionFailed(str(error)))


def time_out_not_counted_as_an_attempt(patch):
    patch.setattr(lambda_function, "_refusal", lambda error, name: NotInvoked(str(error)))


def success_without_a_receipt_believed(patch):
    patch.setattr(sqs, "taken", lambda answer, receipt: None)


def no_fence_in_the_sql(patch):
    patch.setattr(sqlite, "_IS_OWNERS", "mapping = ? AND shard = ? AND ? IS NOT NULL AND ? IS NOT NULL")


def owner_that_is_alive_called_dead(patch):
    patch.setattr(OwnerLocks, "_is_dead", lambda self, owner: True)


def answer_that_is_given_twice_taken_for_a_new_one(patch):
    page = ShardPolling._page

    async def credulous(self, answer):
        return replace(await page(self, answer), took_seconds=anyio.current_time() - self._asked_at)

    patch.setattr(ShardPolling, "_page", credulous)


MUTANTS = (
    missing_iterator_taken_for_the_end,
    missing_iterator_taken_for_no_answer,
    last_records_of_a_shard_dropped,
    record_without_a_number_skipped,
    answer_without_records_taken_for_an_empty_one,
    first_page_of_list_shards_only,
    first_page_of_describe_stream_only,
    new_iterator_at_the_latest_record,
    trimmed_position_goes_to_the_oldest_record_without_a_word,
    unknown_code_ends_the_reader,
    broken_connection_ends_the_reader,
    polls_without_a_pause,
    the_sdk_retries_by_itself,
    function_error_ignored,
    throttled_call_counted_as_an_attempt,
    time_out_not_counted_as_an_attempt,
    success_without_a_receipt_believed,
    no_fence_in_the_sql,
    owner_that_is_alive_called_dead,
)

SELDOM_FOUND = (answer_that_is_given_twice_taken_for_a_new_one,)
"""Which only one world in a thousand finds; its seed is kept."""
