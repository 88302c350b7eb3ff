"""The real process on real servers over real sockets: resharding, failures, kills, drains, and nothing lost."""

from __future__ import annotations

import json
import time
import urllib.request
import uuid
from random import Random

from tests.integration.kinesis_world import BATCH, KEYS, Producer, client, merge, new_stream, split, wait_active
from tests.integration.process import first_times, repeats
from tests.integration.servers import free_ports

KILLS = 20


def test_a_stream_that_is_split_and_merged_under_kills_and_failures_is_handled_in_order(
    kinesis_endpoint, worker, capsys
):
    """Twenty times kill -9 in the middle of traffic; per key everything arrives, and first in order."""
    kinesis = client("kinesis", kinesis_endpoint)
    stream = new_stream(kinesis, 2)
    arn = wait_active(kinesis, stream)
    process = worker(endpoint=kinesis_endpoint, arn=arn, handler="kinesis", failures=0.1, seconds=0.2)
    producer, random, started = Producer(kinesis, stream), Random(3), time.monotonic()
    producer.start()
    for number in range(KILLS):
        process.start()
        before = len(process.lines())
        process.wait_for(lambda lines, before=before: len(lines) > before)
        if number == KILLS // 3:
            split(kinesis, stream)
        if number == 2 * KILLS // 3:
            merge(kinesis, stream)
        time.sleep(random.random())  # a kill must come at any moment
        process.kill()
    process.start()
    time.sleep(2)
    producer.end()
    process.wait_for(lambda lines: len({(line["key"], line["n"]) for line in lines}) >= producer.total)
    shards = json.loads(process.verb("shards", "--json").stdout)["shards"]
    assert process.stop() == 0
    lines, seconds = process.lines(), time.monotonic() - started
    with capsys.disabled():
        print(
            f"\n{KILLS} x kill -9, split and merge, 10 % failures: {producer.total} put, {len(lines)} handled, "
            f"{repeats(lines)} repeated, {seconds:.0f} s"
        )
    assert producer.problems == []
    assert first_times(lines) == {key: list(range(1, count + 1)) for key, count in producer.put.items() if count}
    assert repeats(lines) <= KILLS * BATCH * 3
    assert len({line["shard"] for line in lines}) >= 5
    states = {each["shard"]: each["state"] for each in shards}
    assert sorted(states.values()).count("finished") == 3
    assert [line for line in process.log() if line["level"] == "error"] == []


def test_a_drain_under_load_ends_well_and_repeats_nothing(kinesis_endpoint, worker):
    kinesis = client("kinesis", kinesis_endpoint)
    stream = new_stream(kinesis, 2)
    process = worker(endpoint=kinesis_endpoint, arn=wait_active(kinesis, stream), handler="kinesis")
    producer = Producer(kinesis, stream)
    producer.start()
    for _ in range(3):
        process.start()
        before = len(process.lines())
        process.wait_for(lambda lines, before=before: len(lines) > before + 20)
        assert process.stop() == 0
    producer.end()
    process.start()
    process.wait_for(lambda lines: len(lines) >= producer.total)
    assert process.stop() == 0
    assert repeats(process.lines()) == 0
    assert first_times(process.lines()) == {key: list(range(1, n + 1)) for key, n in producer.put.items() if n}


def test_two_workers_on_one_file_read_each_shard_once(kinesis_endpoint, worker, tmp_path):
    kinesis = client("kinesis", kinesis_endpoint)
    stream = new_stream(kinesis, 4)
    arn = wait_active(kinesis, stream)
    one = worker(endpoint=kinesis_endpoint, arn=arn, handler="kinesis")
    two = worker(endpoint=kinesis_endpoint, arn=arn, handler="kinesis")
    producer = Producer(kinesis, stream)
    producer.start()
    one.start()
    two.start()
    one.wait_for(lambda lines: len(lines) > 200)
    producer.end()
    one.wait_for(lambda lines: len(lines) >= producer.total and positions(one) == last_of_each_shard(lines))
    one.kill()  # its shards are free at once, and nothing of them comes again
    for number in range(20):
        kinesis.put_record(
            StreamName=stream, Data=json.dumps({"key": "late", "n": number}).encode(), PartitionKey=str(number)
        )
    two.wait_for(lambda lines: len({line["n"] for line in lines if line["key"] == "late"}) == 20)
    assert two.stop() == 0
    assert repeats(two.lines()) == 0


def positions(process):
    """What is saved, by shard."""
    shards = json.loads(process.verb("shards", "--json").stdout)["shards"]
    return {each["shard"]: each["position"] for each in shards}


def last_of_each_shard(lines):
    """The position after it, by shard."""
    return {line["shard"]: f"AFTER:{line['sequence']}" for line in lines}


def test_changes_of_a_table_arrive_in_order_over_a_kill(moto_endpoint, worker):
    dynamodb = client("dynamodb", moto_endpoint)
    table = dynamodb.create_table(
        TableName=f"items-{uuid.uuid4().hex[:12]}",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )["TableDescription"]
    process = worker(endpoint=moto_endpoint, arn=table["LatestStreamArn"], handler="dynamodb", failures=0.2)
    process.start()
    for n in range(1, 61):
        for key in KEYS[:3]:
            dynamodb.put_item(TableName=table["TableName"], Item={"id": {"S": key}, "n": {"N": str(n)}})
        if n == 30:
            process.wait_for(lambda lines: len(lines) > 10)
            process.kill()
            process.start()
    dynamodb.delete_item(TableName=table["TableName"], Key={"id": {"S": KEYS[0]}})
    process.wait_for(lambda lines: any(line["kind"] == "REMOVE" for line in lines))
    assert process.stop() == 0
    changes = [line for line in process.lines() if line["kind"] != "REMOVE"]
    assert first_times(changes) == {key: list(range(1, 61)) for key in KEYS[:3]}
    assert {line["kind"] for line in changes if line["n"] == 1} == {"INSERT"}
    assert {line["kind"] for line in changes if line["n"] > 1} == {"MODIFY"}


def test_metrics_health_and_shards_tell_of_a_running_worker(kinesis_endpoint, worker):
    kinesis = client("kinesis", kinesis_endpoint)
    stream = new_stream(kinesis, 2)
    (port,) = free_ports(1)
    process = worker(
        endpoint=kinesis_endpoint, arn=wait_active(kinesis, stream), handler="kinesis", listen=f"127.0.0.1:{port}"
    )
    before = process.verb("shards")
    assert before.returncode == 0
    assert before.stdout.count("unknown") == 2
    assert not (process.directory / "poller.db").exists()
    process.start()
    for number in range(10):
        kinesis.put_record(
            StreamName=stream, Data=json.dumps({"key": "a", "n": number}).encode(), PartitionKey=str(number)
        )
    process.wait_for(lambda lines: len(lines) == 10)

    def get(path):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.read().decode()

    process.wait_for(lambda _: 'poller_records_succeeded_total{mapping="orders"} 10.0' in get("/metrics"))
    metrics = get("/metrics")
    assert json.loads(get("/livez"))["status"] == "ok"
    assert json.loads(get("/readyz"))["status"] == "ok"
    assert 'poller_leases_held{mapping="orders"} 2.0' in metrics
    told = process.verb("shards")
    assert told.returncode == 0
    assert told.stdout.count(" read ") == 2
    assert "AFTER:" in told.stdout
    assert process.stop() == 0
    assert "worker stopped" in (process.directory / "worker.log").read_text()


def test_a_second_signal_ends_the_worker_at_once(kinesis_endpoint, worker):
    kinesis = client("kinesis", kinesis_endpoint)
    stream = new_stream(kinesis, 1)
    process = worker(endpoint=kinesis_endpoint, arn=wait_active(kinesis, stream), handler="kinesis")
    process.config.write_text(process.config.read_text().replace("recording_handler:kinesis", "slow_handler:sleep"))
    process.start()
    kinesis.put_record(StreamName=stream, Data=b"{}", PartitionKey="a")
    (process.directory / "asleep").unlink(missing_ok=True)
    deadline = time.monotonic() + 30
    while not (process.directory / "asleep").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process._process.terminate()
    time.sleep(0.5)
    assert process._process.poll() is None  # it drains
    process._process.terminate()
    assert process._process.wait(8) == 143  # sooner than the drain's time-out
