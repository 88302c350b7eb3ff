"""What a good configuration means: this file is the proof of its shape, defaults and placeholders."""

from __future__ import annotations

from pathlib import Path

import pytest

from poller.config import AwsSettings, FunctionSettings, ServerSettings, WorkerSettings
from poller.mapping import BatchPolicy, FailurePolicy, mapping_id
from tests.config.full import FULL, MINIMAL, loaded

KINESIS = "arn:aws:kinesis:us-east-1:123456789012:stream/orders"


def test_the_full_example_loads(tmp_path: Path) -> None:
    settings = loaded(tmp_path, FULL)
    assert settings.path == tmp_path / "c.toml"
    assert settings.worker == WorkerSettings("poller-1", 25.0)
    assert settings.server == ServerSettings("127.0.0.1", 9464)
    assert settings.aws == AwsSettings("us-east-1", "http://127.0.0.1:5000", {"kinesis": "http://127.0.0.1:4567"})
    assert settings.store_url == "sqlite:///poller.db"
    handler = FunctionSettings("orders-handler", "package.module:function", None, 60.0)
    assert settings.functions == {"orders-handler": handler}
    (mapping,) = settings.mappings
    assert (mapping.name, mapping.source_arn, mapping.function_name) == ("orders", KINESIS, "orders-handler")
    assert mapping.starting_position == "TRIM_HORIZON"
    assert mapping.batch == BatchPolicy()
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
