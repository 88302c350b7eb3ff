"""Kinesis and DynamoDB Streams as text on a socket: this file answers the real client and keeps what it asks."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from random import Random

from aiohttp import web

from poller.aws import Aws
from poller.ports import all_room
from poller.sources.dynamodb import DynamoDBSource
from poller.sources.kinesis import KinesisSource
from tests.fakes import Heard
from tests.http_endpoint import endpoint

KINESIS_ARN = "arn:aws:kinesis:us-east-2:123456789012:stream/lambda-stream"
DYNAMODB_ARN = "arn:aws:dynamodb:us-east-1:123456789012:table/t/stream/2026-09-17T12:00:00.000"
ROLE = "arn:aws:iam::123456789012:role/lambda-role"


class Clock:
    def now(self):
        return 1545084651.5


class Service:
    """``answers`` by operation: a dict or text to give, a (status, dict) for an error, or a function of it."""

    def __init__(self, **answers):
        self.answers = answers
        self.asked = []

    async def __call__(self, request):
        operation = request.headers["X-Amz-Target"].rpartition(".")[2]
        question = json.loads(await request.read())
        self.asked.append((operation, question))
        answer = self.answers[operation]
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if callable(answer):
            answer = answer(question)
        status, body = answer if isinstance(answer, tuple) else (200, answer)
        text = body if isinstance(body, str) else json.dumps(body)
        return web.Response(status=status, text=text, content_type="application/x-amz-json-1.1")

    def questions(self, operation):
        return [question for name, question in self.asked if name == operation]


@asynccontextmanager
async def source(service, kind, *, observer=None, deaggregate=False, room=all_room):
    async with endpoint(service) as url:
        aws = Aws(endpoint_url=url[: -len("/orders")])
        made = (KinesisSource if kind == "kinesis" else DynamoDBSource)(
            aws,
            arn=KINESIS_ARN if kind == "kinesis" else DYNAMODB_ARN,
            mapping="m",
            observer=observer or Heard(),
            clock=Clock(),
            random=Random(1),
            invoke_identity_arn=ROLE,
            deaggregate=deaggregate,
            room=room,
        )
        try:
            yield made
        finally:
            await aws.aclose()


def error(code, status=400, message="said so"):
    return status, {"__type": f"com.amazonaws.kinesis.v20131202#{code}", "message": message}
