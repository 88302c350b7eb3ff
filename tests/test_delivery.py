"""What is delivered beside the code tells the truth: this file compares README, manifest, policy and locks with it."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

from poller import __version__
from poller.config import load
from poller.records import RenderedRecord
from poller.rules.filtering import Filters

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
OPERATING = (ROOT / "docs" / "operating.md").read_text()


def test_the_example_in_the_readme_is_a_good_configuration(tmp_path):
    blocks = re.findall(r"```toml\n(.*?)```", README, re.S)
    assert blocks
    for block in blocks:
        file = tmp_path / "poller.toml"
        file.write_text(block)
        assert load(file, now=1.8e9, environ={}).mappings


def test_what_is_told_to_be_set_when_something_is_stuck_can_be_set(tmp_path):
    skip, give_up, replay = re.findall(r"```toml\n(.*?)```", OPERATING, re.S)
    mapping = re.search(r"\[\[event_source_mappings\]\]\n.*?(?=bisect)", README, re.S)[0].replace(
        "batch_size = 100\n", ""
    )
    mapping = re.sub(r"maximum_retry.*\n", "", mapping)
    file = tmp_path / "poller.toml"
    for text in (*(mapping + each for each in re.findall("^filter.*$", skip, re.M)), mapping + give_up, replay):
        file.write_text(text)
        assert load(file, now=1.8e9, environ={}).mappings


def test_a_record_is_skipped_by_its_number_and_no_other():
    kinesis, dynamodb = re.findall(r"pattern = '(.*?)'", OPERATING)
    poisoned = "49590338271490256608559692538361571095921575989136588898"
    for number, wanted in ((poisoned, False), (poisoned + "0", True)):
        body = {"kinesis": {"sequenceNumber": number, "partitionKey": "k", "data": "bm8ganNvbg=="}}
        assert Filters([kinesis]).wants(RenderedRecord(number, "k", 0.0, json.dumps(body).encode())) is wanted
    for number, wanted in (("111", False), ("112", True)):
        body = {"eventName": "INSERT", "dynamodb": {"SequenceNumber": number, "Keys": {"id": {"S": "1"}}}}
        assert Filters([dynamodb]).wants(RenderedRecord(number, "k", 0.0, json.dumps(body).encode())) is wanted


def test_the_configuration_in_the_manifest_is_good(tmp_path):
    manifest = (ROOT / "deploy" / "kubernetes.yaml").read_text()
    block = re.search(r"config.toml: \|\n((?:    .*\n|\n)+)", manifest)
    file = tmp_path / "config.toml"
    file.write_text(re.sub(r"^    ", "", block[1], flags=re.M))
    settings = load(file, now=1.8e9, environ={})
    grace = int(re.search(r"terminationGracePeriodSeconds: (\d+)", manifest)[1])
    assert grace > settings.worker.drain_timeout_seconds


def test_the_policy_allows_what_the_worker_calls_and_no_more():
    """R-DEST-7; what is encrypted with a key of one's own needs that key as well."""
    policy = json.loads((ROOT / "deploy" / "iam-policy.json").read_text())
    allowed = {action for statement in policy["Statement"] for action in _listed(statement["Action"])}
    assert allowed == {
        "kinesis:DescribeStreamSummary",
        "kinesis:GetRecords",
        "kinesis:GetShardIterator",
        "kinesis:ListShards",
        "kinesis:SubscribeToShard",
        "dynamodb:DescribeStream",
        "dynamodb:GetRecords",
        "dynamodb:GetShardIterator",
        "lambda:InvokeFunction",
        "s3:ListBucket",
        "s3:PutObject",
        "sns:Publish",
        "sqs:SendMessage",
    }


def _listed(value):
    return value if isinstance(value, list) else [value]


@pytest.mark.parametrize("name", ["", "-dev", "-test", "-fuzz", "-build"])
def test_every_line_of_a_lock_is_pinned_and_hashed(name):
    lock = (ROOT / "deploy" / f"requirements{name}.txt").read_text()
    assert "://" not in lock
    for requirement in re.split(r"\n(?=\S)", lock.strip()):
        assert "==" in requirement, requirement
        assert "--hash=sha256:" in requirement, requirement


def test_the_distribution_is_named_versioned_and_typed():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["name"] == "stream-poller"
    assert project["scripts"] == {"poller": "poller.cli:main"}
    assert (ROOT / "poller" / "py.typed").exists()
    assert f"[{__version__}]" in (ROOT / "CHANGELOG.md").read_text()
    assert "Apache License" in (ROOT / "LICENSE").read_text()


def test_the_image_runs_as_nobody_special_and_checks_its_health():
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert len(re.findall(r"^FROM ", dockerfile, re.M)) == 2
    assert "USER 10001" in dockerfile
    assert "HEALTHCHECK" in dockerfile


def test_all_that_is_copied_into_the_image_is_let_through():
    """Everything else is ignored, so that a folder of one's own never ends up in it."""
    let_through = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copies = re.findall(r"^COPY (?!--from)(.*) \S+$", (ROOT / "Dockerfile").read_text(), re.M)
    assert copies
    for source in " ".join(copies).split():
        assert (ROOT / source).exists()
        assert source in let_through


def test_the_top_level_holds_only_what_is_expected():
    visible = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}
    assert visible - {"poller.db", "poller.db-wal", "poller.db-shm"} <= {
        "pyproject.toml",
        "README.md",
        "poller",
        "tests",
        "deploy",
        "docs",
        "Dockerfile",
        "config.example.toml",
        "LICENSE",
        "CHANGELOG.md",
        "Makefile",
    }
