"""What a good configuration means: this file is the proof of its shape, defaults and placeholders."""

from __future__ import annotations

from pathlib import Path

import pytest

from poller.arns import DestinationKind, destination_kind
from poller.config import AwsSettings, FunctionSettings, ServerSettings, WorkerSettings
from poller.errors import ConfigError
from poller.mapping import PAYLOAD_BYTES_MAX, BatchPolicy, FailurePolicy, mapping_id
from tests.config.full import FULL, MINIMAL, loaded

KINESIS = "arn:aws:kinesis:us-east-1:123456789012:stream/orders"


def test_the_full_example_loads(tmp_path: Path) -> None:
    settings = loaded(tmp_path, FULL)
    assert settings.path == tmp_path / "c.toml"
    assert settings.worker == WorkerSettings("poller-1", 25.0, 64)
    assert settings.server == ServerSettings("127.0.0.1", 9464, 300)
    assert settings.aws == AwsSettings(
        "us-east-1",
        "http://127.0.0.1:5000",
        {"kinesis": "http://127.0.0.1:4567"},
        "arn:aws:iam::123456789012:role/poller",
    )
    assert settings.store_url == "sqlite:///poller.db"
    handler = FunctionSettings("orders-handler", "package.module:function", None, 60.0, 1_000_000)
    assert settings.functions == {"orders-handler": handler}
    (mapping,) = settings.mappings
    assert (mapping.name, mapping.source_arn, mapping.function_name) == ("orders", KINESIS, "orders-handler")
    assert mapping.starting_position == "TRIM_HORIZON"
    assert mapping.batch == BatchPolicy(payload_bytes_max=1_000_000)
    assert (mapping.lanes, mapping.tumbling_window_seconds, mapping.deaggregate) == (2, 0, False)
    assert mapping.destination == "arn:aws:sqs:us-east-1:123456789012:failures"
    assert mapping.filter_patterns == ('{"data":{"type":["order"]}}',)
    assert mapping.failure == FailurePolicy(report_item_failures=True)
    assert mapping.enabled


def test_three_keys_are_enough(tmp_path: Path) -> None:
    settings = loaded(tmp_path, MINIMAL)
    assert settings.worker.id
    assert settings.worker.id != loaded(tmp_path, MINIMAL).worker.id
    assert settings.worker.drain_timeout_seconds == 25.0
    assert settings.server == ServerSettings("127.0.0.1", 9464)
    assert settings.aws == AwsSettings(None, None, {})
    assert settings.store_url == "sqlite:///poller.db"
    assert settings.mappings[0].failure == FailurePolicy()
    assert settings.mappings[0].name == "orders"


@pytest.mark.parametrize(
    ("destination", "kind"),
    [
        ("arn:aws:sqs:us-east-1:123456789012:failures", DestinationKind.SQS),
        ("arn:aws:sns:us-east-1:123456789012:failures", DestinationKind.SNS),
        ("arn:aws-cn:s3:::my.bucket-1", DestinationKind.S3),
        ("file:///var/lib/poller/failures.jsonl", DestinationKind.FILE),
        ("https://example.org/failures?key=1", DestinationKind.HTTP),
        ("http://127.0.0.1:8080", DestinationKind.HTTP),
        ("https://user:p@ss@[::1]:8443/failures", DestinationKind.HTTP),
        ("https://example.org:port/failures", None),
        ("https://[::1/failures", None),
        ("http://:8080", None),
        ("http://user@/failures", None),
        ("file:///var/lib/poller/%00.jsonl", None),
        ("arn:aws:sqs:us-east-1:123456789012:failures.fifo", None),
        ("arn:aws:sns:us-east-1:123456789012:failures.fifo", None),
        ("kafka://topic", None),
        ("file://host/failures.jsonl", None),
        ("failures.jsonl", None),
    ],
)
def test_failures_may_go_to_queues_topics_buckets_files_and_urls(
    tmp_path: Path, destination: str, kind: DestinationKind | None
) -> None:
    """R-DEST-1, R-VAL-16."""
    assert destination_kind(destination) is kind
    text = f'{MINIMAL}destination_config = {{ on_failure = {{ destination = "{destination}" }} }}\n'
    if kind is None:
        with pytest.raises(ConfigError, match=r"is no destination for failures|is not a URL"):
            loaded(tmp_path, text)
    else:
        assert loaded(tmp_path, text).mappings[0].destination == destination


def test_an_empty_destination_is_none(tmp_path: Path) -> None:
    """R-API-10."""
    text = f'{MINIMAL}destination_config = {{ on_failure = {{ destination = "" }} }}\n'
    assert loaded(tmp_path, text).mappings[0].destination is None


def test_aggregates_are_opened_for_consumers_unless_told_otherwise(tmp_path: Path) -> None:
    """R-KPL-1, R-KPL-2."""
    consumer = MINIMAL.replace("stream/orders", "stream/orders/consumer/fast:1700000000")
    assert not loaded(tmp_path, MINIMAL).mappings[0].deaggregate
    assert loaded(tmp_path, MINIMAL + "deaggregate = true\n").mappings[0].deaggregate
    assert loaded(tmp_path, consumer).mappings[0].deaggregate
    assert not loaded(tmp_path, consumer + "deaggregate = false\n").mappings[0].deaggregate


def test_a_payload_limit_is_for_functions_that_are_not_lambdas(tmp_path: Path) -> None:
    """R-PORT-10."""
    text = f'[functions.orders-handler]\nurl = "http://h"\npayload_bytes_max = 20000000\n{MINIMAL}'
    assert loaded(tmp_path, text).mappings[0].batch.payload_bytes_max == 20_000_000
    assert loaded(tmp_path, MINIMAL).mappings[0].batch.payload_bytes_max == PAYLOAD_BYTES_MAX


def test_a_mapping_keeps_its_id_when_only_its_label_changes(tmp_path: Path) -> None:
    """R-API-15."""
    before = loaded(tmp_path, FULL).mappings[0]
    after = loaded(tmp_path, FULL.replace('name = "orders"', 'name = "bestellungen"')).mappings[0]
    assert before.id == after.id == mapping_id(KINESIS, "orders-handler")


def test_two_mappings_of_one_stream_are_told_apart_by_their_functions(tmp_path: Path) -> None:
    settings = loaded(tmp_path, MINIMAL + MINIMAL.replace("orders-handler", "audit:live"))
    assert [mapping.name for mapping in settings.mappings] == ["orders-orders-handler", "orders-audit-live"]


@pytest.mark.parametrize(
    ("given", "epoch"),
    [
        ("2026-01-01T00:00:00Z", 1_767_225_600.0),
        ("2026-01-01 02:00:00.5+02:00", 1_767_225_600.5),
        ('"2026-01-01T00:00:00Z"', 1_767_225_600.0),
        ('"1767225600"', 1_767_225_600.0),
        ("1767225600", 1_767_225_600.0),
        ("1767225600.25", 1_767_225_600.25),
    ],
)
def test_a_timestamp_may_be_a_date_a_number_or_text(tmp_path: Path, given: str, epoch: float) -> None:
    """R-POS-4."""
    text = MINIMAL.replace("TRIM_HORIZON", "AT_TIMESTAMP") + f"starting_position_timestamp = {given}\n"
    assert loaded(tmp_path, text).mappings[0].starting_timestamp == epoch


@pytest.mark.parametrize(
    ("listen", "server"),
    [
        ("[::1]:80", ServerSettings("::1", 80)),
        ("localhost:0", ServerSettings("localhost", 0)),
        ("", None),
    ],
)
def test_the_server_listens_where_it_is_told(tmp_path: Path, listen: str, server: ServerSettings | None) -> None:
    assert loaded(tmp_path, f'[server]\nlisten = "{listen}"\n{MINIMAL}').server == server


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("${SET}", "value"),
        ("a-${SET}-${SET}", "a-value-value"),
        ("${SET:-other}", "value"),
        ("${UNSET:-other}", "other"),
        ("${EMPTY:-other}", "other"),
        ("$${SET}", "${SET}"),
        ("$SET $$", "$SET $$"),
        ("${NESTED}", "${SET}"),
    ],
)
def test_placeholders_are_filled_in_once(tmp_path: Path, given: str, meant: str) -> None:
    text = f'[worker]\nid = "{given}"\n{MINIMAL}'
    assert loaded(tmp_path, text, SET="value", EMPTY="", NESTED="${SET}").worker.id == meant


def test_a_placeholder_takes_a_files_text_without_its_last_newline(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("https://example.org/hook?key=1\n")
    text = f'[functions.hook]\nurl = "${{file:{tmp_path}/secret}}"\n{MINIMAL}'
    assert loaded(tmp_path, text).functions["hook"].url == "https://example.org/hook?key=1"


def test_placeholders_work_inside_inline_tables_and_arrays(tmp_path: Path) -> None:
    text = (
        f'aws.endpoint_urls = {{ kinesis = "http://${{HOST}}:1" }}\n{MINIMAL}function_response_types = ["${{TYPE}}"]\n'
    )
    settings = loaded(tmp_path, text, HOST="h", TYPE="ReportBatchItemFailures")
    assert settings.aws.endpoint_urls == {"kinesis": "http://h:1"}
    assert settings.mappings[0].failure.report_item_failures


def test_an_empty_endpoint_leaves_the_choice_to_the_sdk(tmp_path: Path) -> None:
    text = f'[aws]\nregion = "${{R:-}}"\nendpoint_url = "${{E:-}}"\n{MINIMAL}'
    assert loaded(tmp_path, text).aws == AwsSettings(None, None, {})
