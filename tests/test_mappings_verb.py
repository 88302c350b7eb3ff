"""`poller mappings` tells how every mapping is, in Lambda's words, and leaves no trace of having looked."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import aclosing

import anyio
import pytest

from poller.cli import main
from poller.mapping import MappingStatus, State, mapping_id
from poller.stores.sqlite import SqliteStore
from tests.virtual import EPOCH, VirtualClock

STREAM = "arn:aws:kinesis:us-east-1:123456789012:stream"
CONFIG = """\
[store]
url = "sqlite:///{folder}/poller.db"
[[event_source_mappings]]
event_source_arn = "{stream}/orders"
function_name = "orders-handler:live"
starting_position = "TRIM_HORIZON"
[[event_source_mappings]]
event_source_arn = "{stream}/new"
function_name = "arn:aws:lambda:eu-west-1:111111111111:function:f:1"
starting_position = "LATEST"
[[event_source_mappings]]
event_source_arn = "{stream}/off"
function_name = "f"
starting_position = "LATEST"
enabled = false
"""
ORDERS, NEW, OFF = (
    mapping_id(f"{STREAM}/orders", "orders-handler:live"),
    mapping_id(f"{STREAM}/new", "arn:aws:lambda:eu-west-1:111111111111:function:f:1"),
    mapping_id(f"{STREAM}/off", "f"),
)
DENIED = "PROBLEM: User: arn:aws:sts::123456789012:assumed-role/r/s is not authorized to perform: kinesis:ListShards"


@pytest.fixture
def config(tmp_path):
    file = tmp_path / "poller.toml"
    file.write_text(CONFIG.format(folder=tmp_path, stream=STREAM))
    return file


@pytest.fixture
def reported(tmp_path):
    """What a worker would have left in the store."""

    async def report():
        async with aclosing(SqliteStore(tmp_path / "poller.db", VirtualClock())) as store:
            await store.report(MappingStatus(ORDERS, State.ENABLED, result=DENIED, changed_at=EPOCH))

    anyio.run(report)


def test_people_get_a_table_with_the_whole_result(config, reported, capsys):
    """R-STATE-1, R-STATE-5, R-STATE-6."""
    assert main(["mappings", "--config", str(config)]) == 0
    out, err = capsys.readouterr()
    lines = [line.split("  ") for line in out.splitlines()]
    assert [[cell.strip() for cell in line if cell] for line in lines] == [
        ["NAME", "UUID", "STATE", "CHANGED", "REASON", "LAST PROCESSING RESULT"],
        ["orders", ORDERS, "Enabled", "2023-11-14 22:13:20Z", "User action", DENIED],
        ["new", NEW, "not started", "-", "-", "-"],
        ["off", OFF, "Disabled", "-", "-", "-"],
    ]
    assert err == ""


def test_machines_get_the_list_of_lambdas_api(config, reported, capsys):
    """R-API-6; what no worker has started with yet is as Lambda would have it just made (R-STATE-2)."""
    assert main(["mappings", "--json", "--config", str(config)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert list(told) == ["EventSourceMappings", "problems"]
    keys = ("UUID", "State", "LastProcessingResult")
    assert [tuple(each[key] for key in keys) for each in told["EventSourceMappings"]] == [
        (ORDERS, "Enabled", DENIED),
        (NEW, "Creating", "No records processed"),
        (OFF, "Disabled", "No records processed"),
    ]
    assert told["EventSourceMappings"][0]["LastModified"] == EPOCH
    assert [each["FunctionArn"] for each in told["EventSourceMappings"]] == [
        "arn:aws:lambda:us-east-1:123456789012:function:orders-handler:live",
        "arn:aws:lambda:eu-west-1:111111111111:function:f:1",
        "arn:aws:lambda:us-east-1:123456789012:function:f",
    ]


def test_a_mapping_that_has_left_the_file_is_not_told_any_more(config, reported, capsys):
    """R-STATE-4: there is no other way to delete one."""
    head, _, *others = config.read_text().split("[[event_source_mappings]]\n")
    config.write_text("[[event_source_mappings]]\n".join([head, *others]))
    assert main(["mappings", "--json", "--config", str(config)]) == 0
    told = json.loads(capsys.readouterr().out)["EventSourceMappings"]
    assert [each["UUID"] for each in told] == [NEW, OFF]


def test_looking_makes_no_store(config, capsys):
    assert main(["mappings", "--config", str(config)]) == 0
    out, err = capsys.readouterr()
    assert "not started" in out
    assert err == f"no worker has saved anything yet in {config.parent}/poller.db\n"
    assert [path.name for path in config.parent.iterdir()] == ["poller.toml"]


def test_a_store_inside_a_worker_cannot_be_looked_at(config, capsys):
    config.write_text(config.read_text().replace(f"sqlite:///{config.parent}/poller.db", "memory:"))
    assert main(["mappings", "--config", str(config)]) == 78
    assert "lives inside its worker" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "problem"), [("x" * 300, "too long"), ("x/poller.db", "Not a dir")])
def test_a_store_that_cannot_be_looked_for_is_told_apart_from_one_that_is_not_there(config, name, problem, capsys):
    (config.parent / "x").touch()
    config.write_text(config.read_text().replace("poller.db", name))
    assert main(["mappings", "--config", str(config)]) == 78
    assert re.search(f"store.url: cannot look at .*{problem}", capsys.readouterr().err)


@pytest.mark.parametrize("how", [[], ["--json"]])
def test_a_store_that_does_not_answer_is_told_and_is_no_success(config, reported, how, capsys):
    with sqlite3.connect(config.parent / "poller.db") as database:
        database.execute("ALTER TABLE mappings DROP COLUMN reason")
    database.close()
    assert main(["mappings", *how, "--config", str(config)]) == 1
    out, err = capsys.readouterr()
    assert [line.partition(":")[0] for line in err.splitlines()] == ["orders", "new", "off"]
    assert "no such column: reason" in err
    assert not how or json.loads(out)["problems"] == err.splitlines()
