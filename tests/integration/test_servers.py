"""The servers that the other integration tests build on do what those need: this file is the proof."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from aiobotocore.session import get_session

from tests.integration import servers


@pytest.mark.parametrize("server", ["kinesis_endpoint", "moto_endpoint", "ministack_endpoint"])
async def test_what_is_put_into_a_stream_can_be_read_from_it(server: str, request: pytest.FixtureRequest) -> None:
    endpoint, stream = request.getfixturevalue(server), f"stream-{uuid.uuid4().hex}"
    async with _client("kinesis", endpoint) as kinesis:
        await kinesis.create_stream(StreamName=stream, ShardCount=1)
        active = kinesis.get_waiter("stream_exists")
        await active.wait(StreamName=stream, WaiterConfig={"Delay": 0.05, "MaxAttempts": 600})
        await kinesis.put_record(StreamName=stream, Data=b"an order", PartitionKey="a")
        shards = await kinesis.list_shards(StreamName=stream)
        answer = await kinesis.get_shard_iterator(
            StreamName=stream, ShardId=shards["Shards"][0]["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )
        page = await kinesis.get_records(ShardIterator=answer["ShardIterator"])
    assert [record["Data"] for record in page["Records"]] == [b"an order"]


async def test_a_change_of_an_item_can_be_read_from_the_stream_of_its_table(moto_endpoint: str) -> None:
    async with _client("dynamodb", moto_endpoint) as dynamodb, _client("dynamodbstreams", moto_endpoint) as streams:
        table = await dynamodb.create_table(
            TableName=f"table-{uuid.uuid4().hex}",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
        )
        description = table["TableDescription"]
        arn = description["LatestStreamArn"]
        await dynamodb.put_item(TableName=description["TableName"], Item={"id": {"S": "1"}})
        shards = (await streams.describe_stream(StreamArn=arn))["StreamDescription"]["Shards"]
        answer = await streams.get_shard_iterator(
            StreamArn=arn, ShardId=shards[0]["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )
        page = await streams.get_records(ShardIterator=answer["ShardIterator"])
    assert [record["dynamodb"]["NewImage"] for record in page["Records"]] == [{"id": {"S": "1"}}]


def test_a_server_that_is_not_there_skips_on_a_users_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLLER_KINESIS_LOCAL", "/nowhere")
    monkeypatch.setenv("POLLER_MINISTACK", "/nowhere")
    monkeypatch.delenv("POLLER_REQUIRE_SERVERS", raising=False)
    with pytest.raises(pytest.skip.Exception, match="kinesis-local"), servers.kinesis_local():
        pass
    with pytest.raises(pytest.skip.Exception, match="ministack"), servers.ministack():
        pass


def test_a_server_that_is_not_there_is_a_failure_where_all_must_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLLER_KINESIS_LOCAL", "/nowhere")
    monkeypatch.setenv("POLLER_REQUIRE_SERVERS", "1")
    with pytest.raises(pytest.fail.Exception, match="kinesis-local"), servers.kinesis_local():
        pass


def _client(service: str, endpoint: str) -> Any:
    session: Any = get_session()
    return session.create_client(service, endpoint_url=endpoint)
