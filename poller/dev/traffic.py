"""Sample traffic: this file puts orders into Kinesis streams and changes items of DynamoDB tables."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from random import Random

import anyio

from poller.arns import SourceKind, source_kind, source_name
from poller.aws import Aws
from poller.aws_errors import translated
from poller.dev.ledger import Ledger
from poller.errors import SourceGone, Unavailable

PER_SECOND = 5.0
HURRIED_PER_SECOND = 100.0
POISON_EVERY = 40
"""Every so-manieth record is one that the sample functions cannot take."""

_PUT_SECONDS_MAX = 5.0
_CUSTOMERS = 20
_ITEMS = 20


async def put_records(aws: Aws, sources: Sequence[str], ledger: Ledger, records: int | None) -> None:
    """Puts records into every one of ``sources`` (ARNs): ``records`` of them in a hurry, or some a second for ever."""
    async with anyio.create_task_group() as producers:
        for index, arn in enumerate(sources):
            share = None if records is None else (records + index) // len(sources)
            producers.start_soon(_produce, aws, arn, ledger, share)


async def _produce(aws: Aws, arn: str, ledger: Ledger, records: int | None) -> None:
    put, random = _putter(aws, arn), Random(arn)
    pause = 1 / (PER_SECOND if records is None else HURRIED_PER_SECOND)
    number = 1
    while records is None or number <= records:
        try:
            # A stop must not come between a put and its entry, else a record of ours would be one from outside.
            with anyio.move_on_after(_PUT_SECONDS_MAX, shield=True), translated(f"put a record into {arn}"):
                await put(number, random)
                ledger.put(arn, _id(arn, number))
                number += 1
        except (Unavailable, SourceGone):
            await anyio.sleep(1)  # then this one again: an id that was put twice counts once
            continue
        await anyio.sleep(pause)


def _putter(aws: Aws, arn: str) -> Callable[[int, Random], Awaitable[None]]:
    kinesis = source_kind(arn) is not SourceKind.DYNAMODB_STREAM
    name, region = source_name(arn), arn.split(":")[3]

    async def put_order(number: int, random: Random) -> None:
        customer = f"customer-{random.randrange(_CUSTOMERS)}"
        order = {"id": _id(arn, number), "customer": customer, "cents": random.randrange(100, 10_000)}
        data = json.dumps(order | {"poison": True} if _is_poisoned(number) else order).encode()
        client = await aws.client("kinesis", region)
        await client.put_record(StreamName=name, PartitionKey=customer, Data=data)

    async def put_item(number: int, random: Random) -> None:
        item = {
            "id": {"S": f"item-{random.randrange(_ITEMS)}"},
            "change": {"S": _id(arn, number)},
            "stock": {"N": str(random.randrange(1000))},
        }
        poison = {"poison": {"BOOL": True}} if _is_poisoned(number) else {}
        client = await aws.client("dynamodb", region)
        await client.put_item(TableName=name, Item=item | poison)

    return put_order if kinesis else put_item


def _id(arn: str, number: int) -> str:
    return f"{source_name(arn)}-{number}"


def _is_poisoned(number: int) -> bool:
    return number % POISON_EVERY == POISON_EVERY // 2
