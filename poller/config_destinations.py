"""Where a mapping's failures go: this file is the reader of ``destination_config``."""

from __future__ import annotations

import re

from poller.config_values import Table, check_url

_QUEUE_URL = re.compile(r"https?://(sqs\.[a-z0-9-]+|[a-z0-9-]+\.queue)\.amazonaws\.com(\.cn)?/")


def destinations(table: Table) -> tuple[str | None, str | None]:
    """The destinations of ``destination_config = { on_failure = { destination = "..." } }``: on failure, on success.

    The latter is read only to be refused in Lambda's words (R-VAL-15). An empty text means none (R-API-10).
    """
    path = (*table.path, "destination_config")
    both = Table(table.table("destination_config"), path, table.complaints, known=("on_failure", "on_success"))
    return _destination(both, "on_failure"), _destination(both, "on_success")


def _destination(table: Table, key: str) -> str | None:
    if not table.has(key):
        return None
    values = Table(table.table(key), (*table.path, key), table.complaints, known=("destination",))
    place = values.text("destination")
    if place is not None and _QUEUE_URL.match(place):
        advice = "give its ARN, arn:aws:sqs:REGION:ACCOUNT:NAME"
        values.complain("destination", f"{place!r} is the URL of a queue, which takes signed calls only", advice)
    elif place is not None and place.startswith(("http://", "https://")):
        check_url(values, "destination", place)
    return place
