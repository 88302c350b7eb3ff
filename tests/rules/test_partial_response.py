"""What a function's answer means, shape by shape (R-PBR-3)."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poller.model import SequenceNumber
from poller.rules.partial_response import first_failure

BATCH = [SequenceNumber(text) for text in ("99", "100", "101")]


def items(*identifiers):
    return json.dumps({"batchItemFailures": [{"itemIdentifier": each} for each in identifiers]}).encode()


@pytest.mark.parametrize(
    "answer",
    [b"", b" ", b'""', b"[]", b"null", b"{}", items(), b'{"batchItemFailures":null}', b'{"statusCode":200}', b"7"],
)
def test_an_answer_that_names_nothing_is_success(answer):
    """R-PBR-3, recorded shapes; a JSON scalar and other keys as the rule recommends."""
    assert first_failure(answer, BATCH) is None


@pytest.mark.parametrize(
    "answer",
    [
        items(""),
        items(None),
        items("123"),
        items(99),
        b'{"batchItemFailures":[{"foo":123}]}',
        b'{"batchItemFailures":[{"foo":null}]}',
        b'{"batchItemFailures":["100"]}',
        b'{"batchItemFailures":[null]}',
        b'{"batchItemFailures":{"itemIdentifier":"100"}}',
        b'{"batchItemFailures":"100"}',
        b'{"batchItemFailures":0}',
        b"not json",
        b"\xff",
        b"[1]",
        items("100", ""),
        items("101", "123"),
    ],
)
def test_an_answer_that_cannot_be_trusted_fails_the_whole_batch(answer):
    """R-PBR-3: invalid identifiers, wrong keys, a mixture of valid and invalid."""
    assert first_failure(answer, BATCH) == 0


@pytest.mark.parametrize(
    ("named", "first"), [(["100"], 1), (["101", "100"], 1), (["100", "100"], 1), (["101"], 2), (["101", "99"], 0)]
)
def test_the_lowest_identifier_counts_as_an_integer(named, first):
    """R-PBR-2: "100" is above "99", whatever their texts say; duplicates are one."""
    assert first_failure(items(*named), BATCH) == first


@pytest.mark.parametrize(("named", "first"), [(["100"], 1), (["101"], 4), (["101", "100"], 1), (["99"], 0)])
def test_an_identifier_that_several_records_have_means_the_first_of_them(named, first):
    """R-KPL-3: the inner records of an aggregate have one number, and all of them come again."""
    batch = [SequenceNumber(text) for text in ("99", "100", "100", "100", "101")]
    assert first_failure(items(*named), batch) == first


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(["99", "100", "batchItemFailures"]),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["batchItemFailures", "itemIdentifier", "x"]), inner)
    ),
    max_leaves=6,
)


@given(json_values.map(lambda value: json.dumps(value).encode()) | st.binary())
def test_no_answer_can_break_the_reading(answer):
    """R-PBR-3: whatever comes, it is a place in the batch or success."""
    assert first_failure(answer, BATCH) in (None, 0, 1, 2)
