"""An SNS topic as the place for failures: this file is its Publish (R-DEST-4, R-DEST-5)."""

from __future__ import annotations

from poller.arns import DestinationKind
from poller.aws import Aws
from poller.aws_errors import translated
from poller.destinations.receipts import taken
from poller.invocation import FailureReport
from poller.rules.failure_document import failure_document


class SnsDestination:
    """The topic of the ARN ``destination``; see `poller.ports.Destination`. A message has no subject and no payload."""

    kind = DestinationKind.SNS

    def __init__(self, aws: Aws, destination: str) -> None:
        self._aws = aws
        self._arn = destination
        self._region = destination.split(":")[3]

    async def send(self, report: FailureReport) -> None:
        document = failure_document(report, with_payload=False)
        client = await self._aws.client("sns", self._region)
        with translated(f"publish a failure to {self._arn}"):
            taken(await client.publish(TopicArn=self._arn, Message=document.decode()), "MessageId")

    async def aclose(self) -> None:
        """Nothing to do: the client is the door's."""
