"""Bytes from outside, without atheris: seeds, what was ever found, and some thousand mutations from a fixed seed."""

from __future__ import annotations

import importlib
import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from poller import http_answer
from poller.aws import Aws
from poller.config_lines import key_lines
from poller.rules import aggregation, failure, partial_response, patterns
from poller.sources import event_json
from poller.sources.read_to import ReadTo
from tests.fuzz import __main__ as runner
from tests.fuzz import wire
from tests.fuzz.mutation import mutated

MUTATIONS = 4_000


def target(name: str):
    return importlib.import_module(f"tests.fuzz.targets.{name}")


def mutations(name: str) -> Iterator[bytes]:
    chosen, random = target(name), Random(name)
    seeds = chosen.seeds()
    for _ in range(MUTATIONS):
        yield mutated(random.choice(seeds), random, chosen.WORDS, seeds)


@pytest.mark.parametrize("name", runner.TARGETS)
def test_every_seed_and_some_thousand_mutations_hold(name):
    fuzz = target(name).fuzz
    for data in (*target(name).seeds(), *mutations(name)):
        try:
            fuzz(data)
        except BaseException as error:
            error.add_note(f"input of {name}: {data!r}")
            raise


FOUND = sorted(path for path in runner.FOUND.glob("*/*") if path.parent.name in runner.TARGETS)


@pytest.mark.parametrize("path", FOUND, ids=[f"{path.parent.name}-{path.name[:20]}" for path in FOUND])
def test_what_broke_once_holds_for_ever(path):
    target(path.parent.name).fuzz(path.read_bytes())


@pytest.mark.parametrize("name", runner.TARGETS)
def test_seeds_fit_into_what_is_made_of_them(name):
    assert max(map(len, target(name).seeds())) <= target(name).BYTES_MAX


def lines_one_off(text):
    return {path: line + (path[-1] == "name") for path, line in key_lines(text).items()}


def opened_without_its_last(message):
    return _opened(message)[:-1]


_opened = aggregation._opened


class LeavingOut(ReadTo):
    def unread(self, records):
        return super().unread(records)[:-1]


BREAKS = {
    "a sequence number of any length": ("get_records", event_json, "_DIGITS_MAX", 10_000),
    "a time of any size": ("get_records", "poller.sources.kinesis_records", "epoch_seconds", float),
    "the last record left out": ("get_records", "poller.sources.polling", "ReadTo", LeavingOut),
    "inner records dropped": ("get_records", "poller.sources.kinesis", "belonging", lambda inner, hashes: []),
    "an image left out": ("dynamodb_record", "poller.sources.dynamodb", "_IMAGE_KEYS", ("Keys", "NewImage")),
    "a pattern that matches nothing": ("filters", patterns.Alternative, "matches", lambda self, event: False),
    "an operator that raises": ("filters", "poller.rules.matchers", "_NUMBER_MAX", None),
    "what is no JSON taken for success": ("partial_response", failure, "first_failure", lambda answer, numbers: None),
    "the last failure taken for the first": ("partial_response", partial_response, "min", max),
    "an error beside ConfigError": ("config", "poller.config", "key_lines", {}.__getitem__),
    "lines one off": ("config", "tests.fuzz.targets.config", "key_lines", lines_one_off),
    "pieces left out": ("http_answer", http_answer.Answer, "filled", lambda self, size: None),
    "an inner record left out": ("aggregates", aggregation, "_opened", opened_without_its_last),
}


@pytest.mark.parametrize("what", BREAKS)
def test_each_target_notices_what_is_broken(what, monkeypatch):
    name, where, attribute, broken = BREAKS[what]
    module = importlib.import_module(where) if isinstance(where, str) else where
    fuzz = target(name).fuzz
    monkeypatch.setattr(module, attribute, broken, raising=False)
    assert any(breaks(fuzz, data) for data in (*target(name).seeds(), *mutations(name)))


def breaks(fuzz, data):
    """Whatever comes out of it, libFuzzer would stop."""
    try:
        fuzz(data)
    except Exception:
        return True
    return False


class ByWire:
    """The network of an SDK client, as the SDK plugs it: gives one answer to whatever is asked."""

    answer: tuple[int, bytes] = (200, b"")

    def __init__(self, *arguments, **more):
        pass

    async def __aenter__(self):
        return self

    async def __aexit__(self, *error):
        pass

    async def send(self, request):
        return wire.Response(*self.answer)


def test_the_short_way_to_the_parser_says_what_the_whole_client_says():
    """The target leaves the signing out, for its price."""
    aws = Aws(region="us-east-1", http_session_cls=ByWire)
    targets = target("get_records")
    for data in (*targets.seeds(), *list(mutations("get_records"))[:300]):
        head, _, body = data.partition(b"\n")
        service, status, _ = targets._WAYS[(head[0] if head else 0) % len(targets._WAYS)]
        ByWire.answer = (status, body)

        async def by_both(service=service, status=status, body=body):
            whole = await aws.client(service)
            return [
                await said(whole.get_records(ShardIterator="it")),
                await said(wire.OneAnswer(service, status, body).ask({}, None)),
            ]

        one, other = wire.run(by_both())
        assert one == other
    wire.run(aws.aclose())


async def said(answering):
    """The answer without what only tells of the connection, or the kind of the error and the service's word on it."""
    try:
        answer = await answering
    except Exception as error:
        return type(error).__name__, getattr(error, "response", {}).get("Error")
    return {key: value for key, value in answer.items() if key != "ResponseMetadata"}


def test_without_atheris_the_runner_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert runner.main(["filters"]) == 2
    (line,) = capsys.readouterr().out.splitlines()
    assert "pip install 'stream-poller[fuzz]'" in line


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris is not installed")
def test_the_runner_ends_with_its_figures(capsys):
    assert runner.main(["aggregates", "--executions", "2000", "--seed", "1"]) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert figures["targets"]["aggregates"]["executions"] >= 2000
    assert (figures["violations"], figures["seed"]) == (0, 1)


def test_every_target_has_its_file():
    files = {path.stem for path in (Path(__file__).parent / "targets").glob("*.py")} - {"__init__"}
    assert files == set(runner.TARGETS)
