"""A configuration with every key, each on a line of its own: this file is what the tests of the configuration bend."""

from __future__ import annotations

from pathlib import Path

from poller.config import Settings, load

NOW = 1_800_000_000.0

FULL = """\
[worker]
id = "poller-1"
drain_timeout_seconds = 25
waiting_mib_max = 64
[server]
listen = "127.0.0.1:9464"            # /metrics, /livez, /readyz
shard_series_max = 300
[aws]
region = "us-east-1"
endpoint_url = "http://127.0.0.1:5000"
endpoint_urls = { kinesis = "http://127.0.0.1:4567" }   # per service, wins
invoke_identity_arn = "arn:aws:iam::123456789012:role/poller"
[store]
url = "sqlite:///poller.db"
[functions.orders-handler]
handler = "package.module:function"
timeout_seconds = 60
payload_bytes_max = 1000000
[[event_source_mappings]]
name = "orders"
event_source_arn = "arn:aws:kinesis:us-east-1:123456789012:stream/orders"
function_name = "orders-handler"
starting_position = "TRIM_HORIZON"
batch_size = 100
maximum_batching_window_in_seconds = 0
maximum_retry_attempts = -1
maximum_record_age_in_seconds = -1
bisect_batch_on_function_error = false
function_response_types = ["ReportBatchItemFailures"]
filter_criteria = { filters = [{ pattern = '{"data":{"type":["order"]}}' }] }
parallelization_factor = 2
tumbling_window_in_seconds = 0
destination_config = { on_failure = { destination = "arn:aws:sqs:us-east-1:123456789012:failures" } }
deaggregate = false
enabled = true
extended_filter_operators = true
"""

MINIMAL = """\
[[event_source_mappings]]
event_source_arn = "arn:aws:kinesis:us-east-1:123456789012:stream/orders"
function_name = "orders-handler"
starting_position = "TRIM_HORIZON"
"""


def loaded(folder: Path, text: str, **environ: str) -> Settings:
    """The settings of ``text``, as the file ``c.toml`` in ``folder``."""
    file = folder / "c.toml"
    file.write_text(text, encoding="utf-8")
    return load(file, now=NOW, environ=environ)
