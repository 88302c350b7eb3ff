"""An S3 bucket as the place for failures: this file is its PutObject (R-DEST-4 to R-DEST-6)."""

from __future__ import annotations

from poller.arns import DestinationKind
from poller.aws import Aws
from poller.aws_errors import translated
from poller.destinations.receipts import taken
from poller.invocation import FailureReport
from poller.rules.failure_document import failure_document, object_key


class S3Destination:
    """The bucket of the ARN ``destination``; see `poller.ports.Destination`. An object holds the payload too."""

    kind = DestinationKind.S3

    def __init__(self, aws: Aws, destination: str) -> None:
        self._aws = aws
        self._bucket = destination.rpartition(":")[2]

    async def send(self, report: FailureReport) -> None:
        document = failure_document(report, with_payload=True)
        # A bucket's ARN names no region: the stream's is the best guess, and S3 tells the client of a better one.
        client = await self._aws.client("s3", report.source_arn.split(":")[3])
        with translated(f"put a failure into the bucket {self._bucket}"):
            answer = await client.put_object(
                Bucket=self._bucket,
                Key=object_key(report),
                Body=document,
                ContentType="application/octet-stream",
            )
            taken(answer, "ETag")

    async def aclose(self) -> None:
        """Nothing to do: the client is the door's."""
