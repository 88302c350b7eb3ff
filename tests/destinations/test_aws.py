"""What SQS, SNS and S3 are asked, by the real client; what becomes of their refusals."""

from __future__ import annotations

import json
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import replace
from urllib.parse import parse_qs

import pytest
from aiohttp import web
from botocore.exceptions import EndpointConnectionError

from poller.aws import Aws
from poller.errors import SourceGone, Unavailable
from poller.opening import open_destination
from poller.rules.failure_document import failure_document, object_key
from tests.builders import failure_report, mapping
from tests.http_endpoint import endpoint

QUEUE = "arn:aws:sqs:eu-west-1:123456789012:failures"
TOPIC = "arn:aws:sns:eu-west-1:123456789012:failures"
BUCKET = "arn:aws:s3:::failures"
REPORT = failure_report(source_arn="arn:aws:kinesis:eu-west-1:123456789012:stream/orders")
METADATA = failure_document(REPORT, with_payload=False)
PUBLISHED = "<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>"


@pytest.fixture(autouse=True)
def credentials(monkeypatch):
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


class Service:
    """Takes everything, or refuses it all with one ``refusal``; keeps what it was asked, with the body."""

    def __init__(self, refusal=None):
        self.refusal = refusal
        self.asked = []

    async def __call__(self, request):
        self.asked.append((request, await request.read()))
        if self.refusal is not None:
            return self.refusal
        receipt = '{"MessageId": "1"}' if "X-Amz-Target" in request.headers else PUBLISHED
        return web.Response(text=receipt, headers={"ETag": '"1"'})


@asynccontextmanager
async def destination(arn, service, host="127.0.0.1"):
    async with endpoint(service) as url:
        url = url.removesuffix("/orders").replace("127.0.0.1", host)
        async with aclosing(Aws(endpoint_url=url)) as aws:
            yield open_destination(replace(mapping(), destination=arn), aws)


def region(request):
    return request.headers["Authorization"].split("/")[2]


async def test_a_queue_is_asked_once_in_its_own_region_by_a_url_that_needs_no_permission():
    """R-DEST-7: SendMessage is all that is asked."""
    service = Service()
    async with destination(QUEUE, service) as queue:
        await queue.send(REPORT)
    ((request, body),) = service.asked
    assert request.headers["X-Amz-Target"] == "AmazonSQS.SendMessage"
    assert json.loads(body) == {
        "QueueUrl": f"http://{request.host}/123456789012/failures",
        "MessageBody": METADATA.decode(),
    }
    assert region(request) == "eu-west-1"


async def test_a_topic_is_published_to_without_a_subject():
    """R-DEST-4, R-DEST-7."""
    service = Service()
    async with destination(TOPIC, service) as topic:
        await topic.send(REPORT)
    ((request, body),) = service.asked
    asked = {key: value for key, (value,) in parse_qs(body.decode()).items()}
    assert asked.pop("Version")
    assert asked == {"Action": "Publish", "TopicArn": TOPIC, "Message": METADATA.decode()}
    assert region(request) == "eu-west-1"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_bucket_gets_an_object_by_its_path_where_an_endpoint_is_set(host):
    """R-DEST-4 to R-DEST-7; no emulator has a host for each bucket."""
    service = Service()
    async with destination(BUCKET, service, host) as bucket:
        await bucket.send(REPORT)
    ((request, body),) = service.asked
    assert (request.method, request.path) == ("PUT", f"/failures/{object_key(REPORT)}")
    assert request.headers["Content-Type"] == "application/octet-stream"
    assert body == failure_document(REPORT, with_payload=True)
    assert region(request) == "eu-west-1"


@pytest.mark.parametrize("arn", [QUEUE, TOPIC, BUCKET])
@pytest.mark.parametrize("said", ["", "{}", "<html>it works</html>"])
async def test_success_without_a_receipt_is_not_believed(arn, said):
    """A proxy that answers in place of the service has taken nothing."""
    service = Service(web.Response(text=said))
    async with destination(arn, service) as place:
        with pytest.raises(Unavailable):
            await place.send(REPORT)


SENT = []


class Wire:
    """A network that leads nowhere and keeps what was sent."""

    def __init__(self, *args, **kwargs):
        pass

    async def __aenter__(self):
        return self

    async def __aexit__(self, *error):
        pass

    async def send(self, request):
        SENT.append(request)
        raise EndpointConnectionError(endpoint_url=request.url)


@pytest.mark.parametrize(
    ("arn", "stream_region", "url"),
    [
        (QUEUE, "us-east-1", "https://sqs.eu-west-1.amazonaws.com/"),
        ("arn:aws-cn:sqs:cn-north-1:123456789012:q", "cn-north-1", "https://sqs.cn-north-1.amazonaws.com.cn/"),
        ("arn:aws-cn:sns:cn-north-1:123456789012:t", "cn-north-1", "https://sns.cn-north-1.amazonaws.com.cn/"),
        ("arn:aws-cn:s3:::b-1", "cn-north-1", "https://b-1.s3.cn-north-1.amazonaws.com.cn/aws/lambda/"),
        (BUCKET, "eu-west-1", "https://failures.s3.eu-west-1.amazonaws.com/aws/lambda/"),
    ],
)
async def test_region_and_partition_are_those_of_the_arn_and_of_the_stream_for_a_bucket(arn, stream_region, url):
    SENT.clear()
    report = replace(REPORT, source_arn=f"arn:aws:kinesis:{stream_region}:123456789012:stream/orders")
    async with aclosing(Aws(region="us-west-2", http_session_cls=Wire)) as aws:
        with suppress(Unavailable):
            await open_destination(replace(mapping(), destination=arn), aws).send(report)
    (request,) = SENT
    assert request.url.startswith(url)
    if ":sqs:" in arn:
        assert json.loads(request.body)["QueueUrl"].startswith(f"{url}123456789012/")


def json_error(code, status=400):
    return web.json_response({"__type": f"com.amazonaws.sqs#{code}", "message": "said so"}, status=status)


def xml_error(code, status=400):
    error = f"<Error><Code>{code}</Code><Message>said so</Message></Error>"
    return web.Response(text=f"<ErrorResponse>{error}</ErrorResponse>", status=status)


def s3_error(code, status=400):
    return web.Response(text=f"<Error><Code>{code}</Code><Message>said so</Message></Error>", status=status)


@pytest.mark.parametrize(
    ("arn", "refusal", "kind"),
    [
        (QUEUE, json_error("QueueDoesNotExist"), SourceGone),
        (QUEUE, json_error("AccessDeniedException", 403), SourceGone),
        (QUEUE, json_error("KMS.AccessDeniedException"), SourceGone),
        (QUEUE, json_error("RequestThrottled"), Unavailable),
        (QUEUE, json_error("InternalFailure", 500), Unavailable),
        (TOPIC, xml_error("NotFound", 404), SourceGone),
        (TOPIC, xml_error("AuthorizationError", 403), SourceGone),
        (TOPIC, xml_error("KMSDisabled"), SourceGone),
        (TOPIC, xml_error("Throttling"), Unavailable),
        (TOPIC, xml_error("InternalError", 500), Unavailable),
        (BUCKET, s3_error("NoSuchBucket", 404), SourceGone),
        (BUCKET, s3_error("AccessDenied", 403), SourceGone),
        (BUCKET, s3_error("SlowDown", 503), Unavailable),
        (BUCKET, web.Response(status=502, text="<html>bad gateway</html>"), Unavailable),
    ],
)
async def test_a_refusal_says_whether_another_try_may_help(arn, refusal, kind):
    service = Service(refusal)
    async with destination(arn, service) as refusing:
        with pytest.raises(kind) as caught:
            await refusing.send(REPORT)
    assert isinstance(caught.value, SourceGone) == (kind is SourceGone)
    assert len(service.asked) == 1
