"""Where a mapping's failures go: this file is the reader of ``destination_config``."""

from __future__ import annotations

from poller.config_values import Table


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
    return values.text("destination")
