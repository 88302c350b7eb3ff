"""The real process with what a mapping may ask for beyond the plain way: lanes, windows, destinations, states."""

from __future__ import annotations

import json
import time
from random import Random

from tests.integration.kinesis_world import BATCH, KEYS, Producer, client, new_stream, open_shards, split, wait_active
from tests.integration.process import first_times, repeats

KILLS = 8


def put(kinesis, stream, key, **content):
    kinesis.put_record(StreamName=stream, Data=json.dumps({"key": key, **content}).encode(), PartitionKey=key)


def rewrite(process, old, new):
    text = process.config.read_text()
    assert old in text
    process.config.write_text(text.replace(old, new))


def test_lanes_under_kills_keep_each_key_in_order_whatever_their_number_becomes(kinesis_endpoint, worker, capsys):
    """R-PAR-2, R-STATE-14: the factor changes with each life of the worker."""
    kinesis = client("kinesis", kinesis_endpoint)
    stream = new_stream(kinesis, 1)
    process = worker(
        endpoint=kinesis_endpoint,
        arn=wait_active(kinesis, stream),
        handler="kinesis",
        failures=0.1,
        seconds=0.2,
        more="parallelization_factor = 4",
    )
    producer, random, factor = Producer(kinesis, stream), Random(5), 4
    producer.start()
    for number in range(KILLS):
        process.start()
        before = len(process.lines())
        process.wait_for(lambda lines, before=before: len(lines) > before)
        if number == KILLS // 2:
            split(kinesis, stream)
        time.sleep(random.random())
        process.kill()
        was, factor = factor, random.choice([1, 2, 7, 10])
        rewrite(process, f"parallelization_factor = {was}", f"parallelization_factor = {factor}")
    process.start()
    time.sleep(1)
    producer.end()
    process.wait_for(lambda lines: len({(line["key"], line["n"]) for line in lines}) >= producer.total)
    assert process.stop() == 0
    lines = process.lines()
    with capsys.disabled():
        print(
            f"\n{KILLS} x kill -9, each with another factor: {producer.total} put, {len(lines)} handled, "
            f"{repeats(lines)} repeated"
        )
    assert first_times(lines) == {key: list(range(1, count + 1)) for key, count in producer.put.items() if count}
    assert repeats(lines) <= KILLS * BATCH * 10
    assert [line for line in process.log() if line["level"] == "error"] == []


def test_windows_count_every_record_once_over_kills(kinesis_endpoint, worker, capsys):
    """R-WIN-6, R-WIN-15: state and position are one write; the end of the shard ends the last window."""
    kinesis = client("kinesis", kinesis_endpoint)
    stream = new_stream(kinesis, 1)
    process = worker(
        endpoint=kinesis_endpoint,
        arn=wait_active(kinesis, stream),
        handler="windows",
        failures=0.1,
        seconds=0.1,
        more="tumbling_window_in_seconds = 2",
    )
    producer, random = Producer(kinesis, stream, per_second=50.0), Random(9)
    producer.start()
    for _ in range(KILLS):
        process.start()
        before = len(process.lines())
        process.wait_for(lambda lines, before=before: len(lines) > before)
        time.sleep(random.random())
        process.kill()
    producer.end()
    split(kinesis, stream)
    process.start()

    def ends(lines):
        return {(line["shard"], line["n"]): line["records"] for line in lines}

    process.wait_for(lambda lines: sum(map(len, ends(lines).values())) >= producer.total)
    assert process.stop() == 0
    counted = [record for records in ends(process.lines()).values() for record in records]
    told = ends(process.lines())
    with capsys.disabled():
        print(f"\n{KILLS} x kill -9 with windows: {producer.total} put, {len(counted)} in {len(told)} ends")
    assert sorted(counted) == sorted(f"{key}/{n}" for key, count in producer.put.items() for n in range(1, count + 1))
    # An end that was told twice had the same state both times.
    assert all(line["records"] == told[line["shard"], line["n"]] for line in process.lines())


def test_what_is_given_up_arrives_at_a_queue_and_the_shard_goes_on(kinesis_endpoint, moto_endpoint, worker):
    """R-DEST-4, R-DEST-20: the stream at one endpoint, the queue at another."""
    kinesis, sqs = client("kinesis", kinesis_endpoint), client("sqs", moto_endpoint)
    stream = new_stream(kinesis, 1)
    url = sqs.create_queue(QueueName=stream)["QueueUrl"]
    queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    arn = wait_active(kinesis, stream)
    process = worker(
        endpoint=kinesis_endpoint,
        arn=arn,
        handler="poisoned",
        more=(
            "maximum_retry_attempts = 1\nbisect_batch_on_function_error = true\n"
            f'destination_config = {{ on_failure = {{ destination = "{queue}" }} }}'
        ),
    )
    rewrite(process, "[store]", f'endpoint_urls = {{ sqs = "{moto_endpoint}" }}\n[store]')
    for n in range(1, 11):
        put(kinesis, stream, "a", n=n, poison=n == 4)
    process.start()
    process.wait_for(lambda lines: len(lines) == 9)
    (message,) = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5)["Messages"]
    assert process.stop() == 0
    document = json.loads(message["Body"])
    assert document["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert document["requestContext"]["approximateInvokeCount"] == 2
    assert document["responseContext"] == {
        "statusCode": 200,
        "executedVersion": "$LATEST",
        "functionError": "Unhandled",
    }
    batch = document["KinesisBatchInfo"]
    assert (batch["batchSize"], batch["streamArn"], batch["shardId"]) == (
        1,
        arn,
        open_shards(kinesis, stream)[0]["ShardId"],
    )
    assert {line["n"] for line in process.lines()} == {1, 2, 3, 5, 6, 7, 8, 9, 10}
    (lost,) = [line for line in process.log() if line["event"] == "records discarded"]
    assert (lost["first"], lost["delivered"]) == (batch["startSequenceNumber"], True)


def test_a_file_keeps_what_was_given_up_with_its_records(kinesis_endpoint, worker, tmp_path):
    """R-DEST-5, beyond Lambda; the records name the role that was set (R-EVT-4)."""
    kinesis = client("kinesis", kinesis_endpoint)
    stream = new_stream(kinesis, 1)
    failures = tmp_path / "failures.jsonl"
    process = worker(
        endpoint=kinesis_endpoint,
        arn=wait_active(kinesis, stream),
        handler="poisoned",
        more=(
            "maximum_retry_attempts = 0\n"
            f'destination_config = {{ on_failure = {{ destination = "file://{failures}" }} }}'
        ),
    )
    role = "arn:aws:iam::123456789012:role/poller"
    rewrite(process, "[store]", f'invoke_identity_arn = "{role}"\n[store]')
    put(kinesis, stream, "a", n=1, poison=True)
    process.start()
    process.wait_for(lambda lines: failures.exists())
    assert process.stop() == 0
    (document,) = [json.loads(line) for line in failures.read_text().splitlines()]
    (record,) = json.loads(document["payload"])["Records"]
    assert record["invokeIdentityArn"] == role


def status(process):
    told = process.verb("mappings", "--json")
    assert told.returncode == 0, told.stderr
    (mapping,) = json.loads(told.stdout)["EventSourceMappings"]
    return mapping["State"], mapping["StateTransitionReason"], mapping["LastProcessingResult"]


def until(process, state, result, within_seconds=40.0):
    deadline = time.monotonic() + within_seconds
    while (found := status(process)) != (state, "User action", result):
        assert time.monotonic() < deadline, found
        time.sleep(0.2)


def test_a_mapping_is_created_enabled_disabled_and_goes_on_where_it_was(kinesis_endpoint, worker):
    """R-STATE-2, R-STATE-3, R-STATE-6, R-STATE-11, as `poller mappings` and the log tell it."""
    kinesis = client("kinesis", kinesis_endpoint)
    stream = new_stream(kinesis, 1)
    process = worker(
        endpoint=kinesis_endpoint, arn=wait_active(kinesis, stream), handler="poisoned", more="enabled = true"
    )
    assert "not started" in process.verb("mappings").stdout
    put(kinesis, stream, "a", n=1)
    process.start()
    process.wait_for(lambda lines: len(lines) == 1)
    until(process, "Enabled", "OK")
    put(kinesis, stream, "a", n=2, poison=True)
    until(process, "Enabled", "PROBLEM: Function call failed")
    assert process.stop() == 0

    rewrite(process, "enabled = true", "enabled = false")
    process.start()
    until(process, "Disabled", "PROBLEM: Function call failed")
    put(kinesis, stream, "a", n=3)
    assert process.stop() == 0
    assert len(process.lines()) == 1

    rewrite(process, "enabled = false", "enabled = true\nmaximum_retry_attempts = 0\nbatch_size = 1")
    rewrite(process, f"batch_size = {BATCH}\n", "")
    process.start()
    process.wait_for(lambda lines: len(lines) == 2)
    until(process, "Enabled", "OK")
    assert process.stop() == 0
    assert [line["n"] for line in process.lines()] == [1, 3]
    told = [line["state"] for line in process.log() if line["event"] == "mapping"]
    states = [state for state, before in zip(told, [None, *told], strict=False) if state != before]
    assert states == ["Creating", "Enabled", "Disabling", "Disabled", "Enabling", "Enabled"]


def test_a_stream_that_is_deleted_and_made_again_is_read_from_its_beginning(kinesis_endpoint, worker):
    """R-STATE-10: without a restart, and although its shards have the names of the old ones."""
    kinesis = client("kinesis", kinesis_endpoint)
    stream = new_stream(kinesis, 1)
    process = worker(endpoint=kinesis_endpoint, arn=wait_active(kinesis, stream), handler="kinesis")
    put(kinesis, stream, "a", n=1)
    process.start()
    process.wait_for(lambda lines: len(lines) == 1)
    kinesis.delete_stream(StreamName=stream)
    deadline = time.monotonic() + 60
    while "not found" not in status(process)[2].lower():
        assert time.monotonic() < deadline, status(process)
        time.sleep(0.5)
    assert status(process)[:2] == ("Enabled", "User action")
    kinesis.create_stream(StreamName=stream, ShardCount=1)
    wait_active(kinesis, stream)
    put(kinesis, stream, "a", n=2)
    process.wait_for(lambda lines: [line["n"] for line in lines] == [1, 2])
    until(process, "Enabled", "OK")
    assert process.stop() == 0


def test_a_filter_leaves_the_handler_alone_with_what_it_wants(kinesis_endpoint, worker):
    """R-FILT-2."""
    kinesis = client("kinesis", kinesis_endpoint)
    stream = new_stream(kinesis, 1)
    process = worker(
        endpoint=kinesis_endpoint,
        arn=wait_active(kinesis, stream),
        handler="kinesis",
        more="""filter_criteria = { filters = [{ pattern = '{"data":{"n":[{"numeric":[">",5]}]}}' }] }""",
    )
    for n in range(1, 11):
        put(kinesis, stream, KEYS[n % 3], n=n)
    process.start()
    process.wait_for(lambda lines: len(lines) == 5)
    assert process.stop() == 0
    assert [line["n"] for line in process.lines()] == [6, 7, 8, 9, 10]
