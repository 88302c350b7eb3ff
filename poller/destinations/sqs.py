"""An SQS queue as the place for failures: this file is its SendMessage (R-DEST-4, R-DEST-5)."""

from __future__ import annotations

from poller.arns import DestinationKind
from poller.aws import Aws
from poller.aws_errors import translated
from poller.destinations.receipts import taken
from poller.invocation import FailureReport
from poller.rules.failure_document import failure_document


class SqsDestination:
    """The queue of the ARN ``destination``; see `poller.ports.Destination`. A message has no payload."""

    kind = DestinationKind.SQS

    def __init__(self, aws: Aws, destination: str) -> None:
        self._aws = aws
        self._arn = destination
        *_, self._region, self._account, self._name = destination.split(":")

    async def send(self, report: FailureReport) -> None:
        document = failure_document(report, with_payload=False)
        client = await self._aws.client("sqs", self._region)
        with translated(f"send a failure to {self._arn}"):
            # Not asked of SQS: GetQueueUrl would need a permission that Lambda does not need (R-DEST-7).
            url = f"{client.meta.endpoint_url.rstrip('/')}/{self._account}/{self._name}"
            taken(await client.send_message(QueueUrl=url, MessageBody=document.decode()), "MessageId")

    async def aclose(self) -> None:
        """Nothing to do: the client is the door's."""
