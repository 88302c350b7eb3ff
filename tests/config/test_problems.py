"""What a bad configuration is told: this file is the table of complaints, each with its exact line and key."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from poller.config import load
from poller.errors import ConfigError
from poller.mapping import mapping_id
from tests.config.full import FULL, MINIMAL, NOW, loaded

MAPPING = "event_source_mappings[0]"
STREAM = "arn:aws:kinesis:us-east-1:123456789012:stream/orders"
QUEUE = "arn:aws:sqs:us-east-1:123456789012:failures"


def problems(folder: Path, text: str, **environ: str) -> list[str]:
    """The complaints about ``text`` without the name of the file."""
    with pytest.raises(ConfigError) as caught:
        loaded(folder, text, **environ)
    prefix = f"{folder / 'c.toml'}:"
    assert all(problem.startswith(prefix) for problem in caught.value.problems)
    return [problem.removeprefix(prefix) for problem in caught.value.problems]


TABLE = [
    # FULL's line is replaced by ours, and exactly one complaint comes, with this beginning
    ("id =", "idd = 'x'", "2: worker.idd: unknown key; did you mean id?"),
    ("id =", "xyz = 'x'", "2: worker.xyz: unknown key; known here: drain_timeout_seconds, id"),
    ("id =", "id = ''", "2: worker.id: must be a readable text; "),
    ("id =", "id = 7", "2: worker.id: must be a string, not a whole number; put it in quotes"),
    ("id =", "id = '${NOPE}'", "2: worker.id: the environment variable NOPE is not set; "),
    ("id =", "id = '${file:/no/such/file}'", "2: worker.id: cannot read the file /no/such/file: No such file or "),
    ("id =", "id = '${A-B}'", "2: worker.id: a placeholder that is not understood; "),
    ("id =", "id = '${OPEN'", "2: worker.id: a placeholder that is not understood; "),
    ("drain", "drain_timeout_seconds = '25'", "3: worker.drain_timeout_seconds: must be a number of seconds, not a "),
    ("drain", "drain_timeout_seconds = true", "3: worker.drain_timeout_seconds: must be a number of seconds, not a b"),
    ("drain", "drain_timeout_seconds = -1", "3: worker.drain_timeout_seconds: -1 is out of range; "),
    ("drain", "drain_timeout_seconds = nan", "3: worker.drain_timeout_seconds: nan is out of range; "),
    ("[server]", "[serverr]", "5: serverr: unknown key; did you mean server?"),
    ("drain", f"drain_timeout_seconds = 1{'0' * 400}", "3: worker.drain_timeout_seconds: the number is too large; "),
    ("listen", "listen = '9464'", "6: server.listen: '9464' is not an address to listen on; "),
    ("shard_series_max", "shard_series_max = -1", "7: server.shard_series_max: -1 is out of range; give 0 or more"),
    ("listen", "listen = 'h:65536'", "6: server.listen: 'h:65536' is not an address to listen on; "),
    ("endpoint_url =", "endpoint_url = 'HTTPS://h'", "10: aws.endpoint_url: 'HTTPS://h' is not a URL; write http"),
    ("endpoint_url =", "endpoint_url = 'localhost:5000'", "10: aws.endpoint_url: 'localhost:5000' is not a URL; "),
    (
        "endpoint_urls",
        "endpoint_urls = {kineses='http://h'}",
        "11: aws.endpoint_urls.kineses: unknown key; did you mean",
    ),
    ("endpoint_urls", "endpoint_urls = {kinesis='h'}", "11: aws.endpoint_urls.kinesis: 'h' is not a URL; "),
    (
        "endpoint_urls",
        "endpoint_urls = 'http://h'",
        "11: aws.endpoint_urls: must be a table, not a string; write [aws.",
    ),
    (
        "endpoint_urls",  # streams have a service of their own
        "endpoint_urls = {dynamodb='http://h'}",
        "11: aws.endpoint_urls.dynamodb: unknown key; did you mean dynamodbstreams?",
    ),
    ("url =", "url = 'redis://h'", "14: store.url: a store of this kind ('redis') is not supported by this version; "),
    (
        "url =",
        "url = 'sqlite:///'",
        "14: store.url: 'sqlite:///' names no file; ",
    ),
    ("url =", "url = 'sqlite://poller.db'", "14: store.url: 'sqlite://poller.db' names no file; write \"sqlite:///"),
    ("url =", "url = 'sqlite:///:memory:'", "14: store.url: 'sqlite:///:memory:' names no file; "),
    ("url =", 'url = "sqlite:///a\\u0000b"', "14: store.url: 'sqlite:///a\\x00b' names no file; "),
    (
        "invoke_identity",
        "invoke_identity_arn = 'poller'",
        "12: aws.invoke_identity_arn: 'poller' is not the ARN of a role; write ",
    ),
    ("[functions.", "[functions.'orders handler']", '15: functions."orders handler": a function\'s name is made of '),
    ("handler =", "", "15: functions.orders-handler: neither handler nor url is given; "),
    ("handler =", "handlr = 'a:b'", "16: functions.orders-handler.handlr: unknown key; did you mean handler?"),
    ("handler =", "handler = 'module.function'", "16: functions.orders-handler.handler: 'module.function' does not "),
    (
        "handler =",
        "handler='a:b'\nurl='http://h'",
        "17: functions.orders-handler.url: both handler and url are given; ",
    ),
    ("handler =", "url = 'ftp://h'", "16: functions.orders-handler.url: 'ftp://h' is not a URL; "),
    ("handler =", "url = 'http://a b/'", "16: functions.orders-handler.url: 'http://a b/...' is not a URL; "),
    ("timeout_sec", "timeout_seconds = 0", "17: functions.orders-handler.timeout_seconds: 0 is out of range; "),
    ("name =", "name = ' '", f"20: {MAPPING}.name: must be a readable text; "),
    ("event_source_arn", "", f"19: {MAPPING}.event_source_arn: Unrecognized event source. Give the ARN of a Kinesis "),
    (
        "event_source_arn",
        "event_source_arn = 'arn:aws:dynamodb:us-east-1:123456789012:table/items'",
        f"21: {MAPPING}.event_source_arn: Unrecognized event source. This is a table: give the ARN of its stream, ",
    ),
    (
        "event_source_arn",
        "event_source_arn = '${ARN}'",
        f"21: {MAPPING}.event_source_arn: the environment variable ARN ",
    ),
    ("function_name", "function_name = 'not a name'", f"22: {MAPPING}.function_name: 1 validation error detected: "),
    ("starting_pos", "starting_positon = 'LATEST'", f"23: {MAPPING}.starting_positon: unknown key; did you mean start"),
    ("starting_pos", "startingPosition = 'LATEST'", f"23: {MAPPING}.startingPosition: unknown key; did you mean start"),
    ("starting_pos", "", f"19: {MAPPING}.starting_position: 1 validation error detected: Value null at 'startingPos"),
    (
        "starting_pos",
        "starting_position = 'AT_TIMESTAMP'",
        f"19: {MAPPING}.starting_position_timestamp: Need to specify a timestamp; ",
    ),
    (
        "starting_pos",
        "starting_position = 'AT_TIMESTAMP'\nstarting_position_timestamp = 2026-01-01T00:00:00",
        f"24: {MAPPING}.starting_position_timestamp: the time has no zone; ",
    ),
    (
        "starting_pos",
        "starting_position = 'AT_TIMESTAMP'\nstarting_position_timestamp = 2026-01-01",
        f"24: {MAPPING}.starting_position_timestamp: must be a date and time, not a date alone; ",
    ),
    (
        "starting_pos",
        "starting_position = 'AT_TIMESTAMP'\nstarting_position_timestamp = 1e300",
        f"24: {MAPPING}.starting_position_timestamp: 1e+300 is out of range; ",
    ),
    (
        "starting_pos",
        "starting_position = 'AT_TIMESTAMP'\nstarting_position_timestamp = 'yesterday'",
        f"24: {MAPPING}.starting_position_timestamp: 'yesterday' is not a date and time; ",
    ),
    (
        "starting_pos",
        "starting_position = 'AT_TIMESTAMP'\nstarting_position_timestamp = 1800000001",
        f"24: {MAPPING}.starting_position_timestamp: Received Exception while reading from provided stream. The times",
    ),
    ("batch_size", "batch_size = 10001", f"24: {MAPPING}.batch_size: 1 validation error detected: Value '10001' at 'b"),
    (
        "starting_pos",
        "starting_position = 'AT_TIMESTAMP'\nstarting_position_timestamp = 0001-01-01T00:00:00Z",
        f"24: {MAPPING}.starting_position_timestamp: -62135596800.0 is out of range; ",
    ),
    ("batch_size", f"batch_size = 0x{'f' * 5000}", f"24: {MAPPING}.batch_size: the number is too large; "),
    ("batch_size", "batch_size = true", f"24: {MAPPING}.batch_size: must be a whole number, not a boolean; "),
    (
        "batch_size",
        "batch_size = '5'",
        f"24: {MAPPING}.batch_size: must be a whole number, not a string; write it with",
    ),
    ("batch_size", "batch_size = 5.0", f"24: {MAPPING}.batch_size: must be a whole number, not a number; "),
    (
        "bisect",
        "bisect_batch_on_function_error = 1",
        f"28: {MAPPING}.bisect_batch_on_function_error: must be true or fa",
    ),
    ("function_resp", "function_response_types = [1]", f"29: {MAPPING}.function_response_types[0]: must be a string, "),
    (
        "function_resp",
        "function_response_types = ['${A}']",
        f"29: {MAPPING}.function_response_types[0]: the environmen",
    ),
    ("enabled", "topics = ['t']", f"35: {MAPPING}.topics: not a setting for Kinesis or DynamoDB streams; "),
    ("enabled", "scaling_config = {}", f"35: {MAPPING}.scaling_config: Unsupported ScalingConfig parameter for given "),
    ("enabled", "kms_key_arn = 'k'", f"35: {MAPPING}.kms_key_arn: filters are not encrypted here; remove it"),
    ("parallel", "parallelization_factor = 11", f"31: {MAPPING}.parallelization_factor: 1 validation error detected: "),
    (
        "tumbling",
        "tumbling_window_in_seconds = -1",
        f"32: {MAPPING}.tumbling_window_in_seconds: 1 validation error de",
    ),
    ("deaggregate", "deaggregate = 1", f"34: {MAPPING}.deaggregate: must be true or false, not a whole number; "),
    (
        "destination",
        "destination_config = 1",
        f"33: {MAPPING}.destination_config: must be a table, not a whole number; write destination_config = {{",
    ),
    (
        "destination",
        f"destination_config = {{ on_failure = '{QUEUE}' }}",
        f"33: {MAPPING}.destination_config.on_failure: must be a table, not a string; ",
    ),
    (
        "destination",
        f"destination_config = {{ on_failure = {{ destination = '{QUEUE}.fifo' }} }}",
        f"33: {MAPPING}.destination_config: '{QUEUE}.fifo' is no destination for failures; a queue or topic must be a ",
    ),
    (
        "destination",
        f"destination_config = {{ on_success = {{ destination = '{QUEUE}' }} }}",
        f"33: {MAPPING}.destination_config: OnSuccess configuration is not supported for event source mappings. Remove",
    ),
    ("payload", "payload_bytes_max = 0", "18: functions.orders-handler.payload_bytes_max: 0 is out of range; "),
]


@pytest.mark.parametrize(("start", "line", "complaint"), TABLE)
def test_one_mistake_makes_one_complaint_with_its_line_and_key(
    tmp_path: Path, start: str, line: str, complaint: str
) -> None:
    lines = [line if each.startswith(start) else each for each in FULL.splitlines()]
    text = "\n".join(lines)
    if line == "[serverr]":
        text = text.replace('listen = "127.0.0.1:9464"', "")
    (found,) = problems(tmp_path, text)
    assert found.startswith(complaint)


def test_all_mistakes_are_told_at_once_in_order_of_lines(tmp_path: Path) -> None:
    text = FULL.replace("batch_size = 100", "batch_size = 0").replace('id = "poller-1"', "id = 1")
    text = text.replace("[store]", "[stores]").replace("enabled = true", 'enabled = "yes"')
    keys = [problem.split(": ")[1] for problem in problems(tmp_path, text)]
    assert keys == ["worker.id", "stores", f"{MAPPING}.batch_size", f"{MAPPING}.enabled"]


def test_the_same_pair_twice_is_refused_as_lambda_does(tmp_path: Path) -> None:
    """R-VAL-21."""
    (found,) = problems(tmp_path, MINIMAL + MINIMAL)
    assert found.startswith(
        f'7: event_source_mappings[1].function_name: The event source arn (" {STREAM} ") and function '
        '(" orders-handler ") provided mapping already exists. Please update or delete the existing mapping with UUID '
    )


def test_a_label_belongs_to_one_mapping(tmp_path: Path) -> None:
    first, second = MINIMAL, MINIMAL.replace("orders-handler", "other")
    (found,) = problems(tmp_path, f'{first}name = "a"\n{second}name = "a"\n')
    assert found.startswith("10: event_source_mappings[1].name: another mapping is named 'a' already; ")


@pytest.mark.parametrize("text", ["", "event_source_mappings = []"])
def test_a_file_without_a_mapping_is_refused(tmp_path: Path, text: str) -> None:
    (found,) = problems(tmp_path, text)
    assert found.startswith("1: event_source_mappings: there is no mapping; ")


def test_a_single_table_is_not_a_list_of_mappings(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, MINIMAL.replace("[[", "[").replace("]]", "]"))
    assert found.startswith("1: event_source_mappings: must be an array of tables, not a table; ")


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("a = 1\nb = \n", "2: not valid TOML: "),
        ("a = 1\na = 2\n", "2: not valid TOML: "),
        ("a = 1\n\nb = [1,\n", "3: not valid TOML: "),
        ('a = 1\nb = "\u2028\u2028\u2028', "2: not valid TOML: "),
        ("a = 1\nb = " + "[" * 2000 + "\nc = 1\n", "2: not valid TOML: nested too deeply; "),
        ("a = 1\n[" + ".".join("b" * 2000) + "]\nc = 1\n", "2: not valid TOML: nested too deeply; "),
        ("a = 1\nb = " + "9" * 5000 + "\nc = 1\n", "2: not valid TOML: a number is too long; "),
    ],
)
def test_what_cannot_be_read_at_all_is_told_with_its_line(tmp_path: Path, text: str, start: str) -> None:
    (found,) = problems(tmp_path, text)
    assert found.startswith(start)
    assert "(at" not in found


def test_a_file_that_is_not_text_is_told_with_the_line(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_bytes(b"a = 1\nb = '\xff'\n")
    with pytest.raises(ConfigError) as caught:
        load(file, now=NOW, environ={})
    assert caught.value.problems == (f"{file}:2: not UTF-8 text; save the file as UTF-8",)


def test_a_file_that_is_not_there_is_told_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "none.toml", now=NOW, environ={})
    assert caught.value.problems[0].startswith(f"{tmp_path / 'none.toml'}: cannot be read: No such file or directory; ")


def _keys_of_full() -> list[tuple[int, str, str]]:
    """Line number, table and key of every line of `FULL` that has a key."""
    found: list[tuple[int, str, str]] = []
    table = ""
    for number, line in enumerate(FULL.splitlines(), start=1):
        if line.startswith("["):
            table = MAPPING if line.startswith("[[") else line.split("]")[0].strip("[")
        else:
            found.append((number, table, line.split(" = ")[0]))
    return found


_KEYS = _keys_of_full()
_WRONG_FOR_EVERY_KEY = st.sampled_from(["07:32:00", "1979-05-27", "[[]]", "[1.5]", "inf", "-9_999_999"])


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.sampled_from(_KEYS), _WRONG_FOR_EVERY_KEY)
def test_a_wrong_value_for_any_one_key_names_exactly_that_key(
    tmp_path: Path, place: tuple[int, str, str], value: str
) -> None:
    number, table, key = place
    lines = FULL.splitlines()
    lines[number - 1] = f"{key} = {value}"
    (found,) = problems(tmp_path, "\n".join(lines))
    assert re.match(rf"{number}: {re.escape(f'{table}.{key}')}(\[0\])?: ", found)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.sampled_from(_KEYS), st.integers(min_value=0, max_value=100))
def test_a_letter_too_few_in_any_one_key_names_exactly_that_key(
    tmp_path: Path, place: tuple[int, str, str], where: int
) -> None:
    number, table, key = place
    at = where % len(key)
    misspelt = key[:at] + key[at + 1 :]
    if any(other == misspelt for _, _, other in _KEYS) or len(misspelt) < 2:
        return
    lines = FULL.splitlines()
    lines[number - 1] = lines[number - 1].replace(key, misspelt, 1)
    (found,) = problems(tmp_path, "\n".join(lines))
    assert found.startswith(f"{number}: {table}.{misspelt}: unknown key; did you mean ")


@pytest.mark.parametrize("number", ["9" * 400, "0x" + "f" * 4400, str(2**63), str(-(2**63) - 1)])
def test_a_number_beyond_64_bits_is_told(tmp_path: Path, number: str) -> None:
    text = FULL.replace("drain_timeout_seconds = 25", f"drain_timeout_seconds = {number}")
    (found,) = problems(tmp_path, text)
    assert found == "3: worker.drain_timeout_seconds: the number is too large; TOML's whole numbers have 64 bits"


@pytest.mark.parametrize(
    ("first", "second", "own", "is_one"),
    [
        ("f", "arn:aws:lambda:us-east-1:123456789012:function:f", "", True),
        ("f:live", "123456789012:f:live", "", True),
        ("f", "f:live", "", False),
        ("f", "arn:aws:lambda:eu-west-1:123456789012:function:f", "", False),
        ("f", "arn:aws:lambda:us-east-1:123456789012:function:f", "[functions.f]\nurl = 'http://h'\n", False),
        ("f", "arn:aws:lambda:us-east-1:123456789012:function:f", "[aws]\nregion = 'eu-west-1'\n", False),
        ("f", "arn:aws:lambda:eu-west-1:123456789012:function:f", "[aws]\nregion = 'eu-west-1'\n", True),
    ],
)
def test_one_function_is_one_however_it_is_spelled(tmp_path: Path, first: str, second: str, own: str, is_one: bool):
    """R-API-15, R-VAL-21: else it would get every record twice."""
    one, other = (
        MINIMAL.replace("orders-handler", name) + f'name = "{number}"\n' for number, name in enumerate((first, second))
    )
    if is_one:
        (problem,) = problems(tmp_path, own + one + other)
        assert 'and function (" f ") provided mapping already exists' in problem.replace("f:live", "f")
        assert mapping_id("arn:aws:kinesis:us-east-1:123456789012:stream/orders", first) in problem, (
            "that of the one that is there"
        )
    else:
        loaded(tmp_path, own + one + other)


def test_what_is_almost_the_name_of_an_unused_function_is_noted(tmp_path: Path) -> None:
    """It is the name of an AWS Lambda function, and may well be meant."""
    (note,) = loaded(tmp_path, MINIMAL.replace("orders-handler", "Order-handler") + FUNCTION).notes
    assert note.endswith(
        "3: event_source_mappings[0].function_name: Order-handler is an AWS Lambda function, as there is no "
        "[functions.Order-handler]; did you mean orders-handler?"
    )
    assert not loaded(tmp_path, MINIMAL.replace("orders-handler", "billing") + FUNCTION).notes
    second = MINIMAL.replace("orders-handler", "order-handler") + 'name = "second"\n'
    assert not loaded(tmp_path, MINIMAL + second + FUNCTION).notes


FUNCTION = '[functions.orders-handler]\nurl = "http://h"\n'


def test_a_queue_is_not_named_by_its_url(tmp_path: Path) -> None:
    url = "https://sqs.us-east-1.amazonaws.com/123456789012/failures"
    (problem,) = problems(tmp_path, f'{MINIMAL}destination_config = {{ on_failure = {{ destination = "{url}" }} }}\n')
    assert problem.endswith("takes signed calls only; give its ARN, arn:aws:sqs:REGION:ACCOUNT:NAME")


@pytest.mark.parametrize(
    ("pattern", "unseen"),
    [
        ('{"kinesis": {"data": {"type": ["order"]}}}', "kinesis"),
        ('{"Data": {"type": ["order"]}, "type": ["order"]}', "Data or type"),
        ('{"data": {"type": ["order"]}, "partitionKey": ["k"]}', None),
    ],
)
def test_a_key_that_no_record_shows_is_noted(tmp_path: Path, pattern: str, unseen: str | None) -> None:
    """R-FILT-10: Lambda takes such a pattern, which matches nothing."""
    notes = loaded(tmp_path, f"{MINIMAL}filter_criteria = {{ filters = [{{ pattern = '{pattern}' }}] }}\n").notes
    where = f"{tmp_path / 'c.toml'}:5: event_source_mappings[0].filter_criteria.filters[0].pattern"
    assert notes == (() if unseen is None else (f"{where}: no record of this source shows a pattern the key {unseen}",))


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("url", '{}functions.orders-handler.url = "https://user:s3cret@h/s3cret?s3cret "\n'),
        ("destination", '{}destination_config = {{ on_failure = {{ destination = "HTTPS://h/s3cret" }} }}\n'),
        ("destination", '{}destination_config = {{ on_failure = {{ destination = "https://h/s3cret x" }} }}\n'),
        ("destination", '{}destination_config = {{ on_failure = {{ destination = " https://h/s3cret" }} }}\n'),
        ("destination", '{}destination_config = {{ on_failure = {{ destination = "htps://h/s3cret" }} }}\n'),
        ("url", "{}functions.orders-handler.url = '\"https://h/s3cret\"'\n"),
        ("url", "{}functions.orders-handler.url = '://h/s3cret'\n"),
    ],
)
def test_a_url_that_is_wrong_is_told_without_what_it_may_hide(tmp_path: Path, key: str, text: str) -> None:
    """It may come from the environment, and the complaint goes to a container's log."""
    file = tmp_path / "c.toml"
    file.write_text(text.format(MINIMAL) if key == "destination" else text.format("") + MINIMAL)
    with pytest.raises(ConfigError) as caught:
        load(file, now=1.8e9, environ={})
    assert "://h/..." in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_each_filter_is_told_under_its_own_number_and_line(tmp_path: Path) -> None:
    """A note on the first one does not move the place of those behind it."""
    filters = ",\n".join(f"{{ pattern = '{{\"key{number}\": [1]}}' }}" for number in range(3))
    notes = loaded(tmp_path, f"{MINIMAL}filter_criteria = {{ filters = [\n{filters}\n] }}\n").notes
    places = [note.removeprefix(f"{tmp_path / 'c.toml'}:").split(": ")[:2] for note in notes]
    criteria = "event_source_mappings[0].filter_criteria"
    assert places == [[f"{6 + number}", f"{criteria}.filters[{number}].pattern"] for number in range(3)]


def test_a_byte_order_mark_is_read_over(tmp_path: Path) -> None:
    loaded(tmp_path, "\N{ZERO WIDTH NO-BREAK SPACE}" + MINIMAL)
