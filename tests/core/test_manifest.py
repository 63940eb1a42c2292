"""A manifest comes back as it was written, and whatever else lies there is told, never raised."""

import json
import random
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreman.core.canonical_json import DEEPEST, JsonProblem, json_problems, read_json, write_json
from foreman.core.ids import BatchId, WorkerId
from foreman.core.manifest import (
    MAX_MANIFEST_BYTES,
    MAX_PARAMS_BYTES,
    Desired,
    Manifest,
    NotJson,
    TooLarge,
    Truncated,
    UnknownFormat,
    WrongShape,
    encode,
    params_problems,
    parse,
)

WHOLE: Final = Manifest(
    cluster="demo",
    id=WorkerId("log_1"),
    kind="log",
    params={"segments": 4, "ratio": 0.5, "name": "ä\ud800\U0001f600", "nested": {"list": [1, None, True]}},
    created_at=1_700_000_000.25,
    desired=Desired.STOPPED,
    batch=BatchId("b1"),
)
_ids = st.from_regex(r"\A[a-z0-9][a-z0-9_-]{0,62}\Z")
_numbers = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
_json = st.recursive(
    st.none() | st.booleans() | _numbers | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
_manifests = st.builds(
    Manifest,
    cluster=_ids,
    id=_ids.map(WorkerId),
    kind=st.text(min_size=1, max_size=20),
    params=st.dictionaries(st.text(max_size=8), _json, max_size=4),
    created_at=st.floats(0, 1e12),
    desired=st.sampled_from(Desired),
    batch=st.none() | _ids.map(BatchId),
)


@given(_manifests)
def test_parse_undoes_encode(manifest: Manifest) -> None:
    found = parse(encode(manifest))
    assert found == manifest
    assert isinstance(found, Manifest)
    assert encode(found) == encode(manifest)
    assert found.same_worker(manifest)


@given(_manifests, st.data())
def test_a_manifest_torn_at_any_length_is_cut_short(manifest: Manifest, data: st.DataObject) -> None:
    written = encode(manifest)
    torn = written[: data.draw(st.integers(0, len(written) - 2))]
    assert isinstance(parse(torn), Truncated | NotJson)  # NotJson where the cut splits a character


def test_every_truncation_of_a_manifest_is_told() -> None:
    written = encode(WHOLE)
    assert [parse(written[:size]) for size in range(len(written) - 1)] == [Truncated(size) for size in range(len(written) - 1)]
    assert parse(written[:-1]) == WHOLE  # only the newline is missing


def test_every_changed_byte_gives_a_manifest_or_a_problem() -> None:
    written = encode(WHOLE)
    for place in range(len(written)):
        for byte in (0x00, 0x22, 0x39, 0x7B, 0xFF, written[place] ^ 0x01, written[place] ^ 0x80):
            found = parse(written[:place] + bytes([byte]) + written[place + 1 :])
            assert isinstance(found, Manifest) or str(found)


def test_zeros_as_a_crash_without_fsync_leaves_them_are_told() -> None:
    assert isinstance(parse(bytes(len(encode(WHOLE)))), NotJson)


@given(st.binary(max_size=300))
def test_random_bytes_are_never_a_manifest(data: bytes) -> None:
    assert not isinstance(parse(data), Manifest)


@given(_json)
def test_any_json_gives_a_problem(value: Any) -> None:
    assert not isinstance(parse(json.dumps(value).encode("ascii")), Manifest)


def test_spliced_manifests_never_raise() -> None:
    chance = random.Random(7)
    written = encode(WHOLE)
    for _ in range(3_000):
        a, b = sorted(chance.randrange(len(written)) for _ in range(2))
        assert parse(written[:a] + written[b:]) is not None
        assert parse(written[a:] + written[:b]) is not None


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 100_000,
        b'{"format":1,"params":' + b'{"a":' * 20_000,
        b'{"format":' + b"9" * 5_000 + b"}",
        b'{"format":1e999}',
        b'{"format":NaN}',
        b'{"format":-Infinity}',
        b'{"format":1,"format":1}',
        b'{"format":1,"params":{"a":1,"a":2}}',
        b"\xff\xfe{\x00",
        b"\xef\xbb\xbf" + encode(WHOLE),
        encode(WHOLE) * 2,
        b'"' + b"\xc3(" + b'"',
    ],
)
def test_hostile_text_is_not_json(text: bytes) -> None:
    assert isinstance(parse(text), NotJson)


def test_more_than_the_limit_is_not_even_read() -> None:
    assert parse(encode(WHOLE) + b" " * MAX_MANIFEST_BYTES) == TooLarge()


_WRONG: Final[dict[str, tuple[Any, ...]]] = {  # ... is a field left out
    "format": (...,),
    "cluster": (..., "", "Ä", ["demo"]),
    "id": (..., "", "..", "a/b", "A", "a" * 64, "a\n", "a\0", 7, None),
    "kind": (..., "", None, 1, "k" * 500),
    "params": (..., None, [], "text", {"deep": json.loads("[" * 80 + "]" * 80)}),
    "created_at": (..., None, "1", True, -1),
    "desired": (..., "Running", "", None, ["running"]),
    "batch": ("", "../x", 5),
}


def _with(**changes: Any) -> bytes:
    facts = json.loads(encode(WHOLE)) | changes
    return write_json({name: value for name, value in facts.items() if value is not ...})


@pytest.mark.parametrize("format", [0, 2, 1.0, True, "1", None, [1]])
def test_an_unknown_format_is_told_whatever_else_is_there(format: Any) -> None:
    assert isinstance(parse(write_json({"format": format, "anything": "else"})), UnknownFormat)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *((field, bad) for field, values in _WRONG.items() for bad in values),
        ("owner", "somebody"),
    ],
)
def test_a_wrong_field_is_named(field: str, value: Any) -> None:
    found = parse(_with(**{field: value}))
    assert isinstance(found, WrongShape)
    assert field in found.field
    assert field in str(found)


@pytest.mark.parametrize(
    ("params", "problem"),
    [
        ({"a": float("nan")}, "params.a is not a finite number"),
        ({"a": [2**64]}, "params.a[0] is an integer beyond 64 bits"),
        ({"a": {1: 2}}, "params.a has a key that is not text"),
        ({"a": b"bytes"}, "params.a is a bytes, which JSON does not have"),
        ({"a": "x" * MAX_PARAMS_BYTES}, f"the limit is {MAX_PARAMS_BYTES}"),
    ],
)
def test_params_that_would_not_come_back_are_told_at_the_door(params: dict[str, Any], problem: str) -> None:
    assert problem in params_problems(params)[0]


def test_a_circle_in_params_is_told() -> None:
    circle: dict[str, Any] = {}
    circle["self"] = circle
    assert "nested deeper" in params_problems(circle)[0]


@given(_json)
def test_what_has_no_problem_comes_back(value: Any) -> None:
    assert json_problems(value, "value") == []
    assert read_json(write_json(value)) == value


def test_the_deepest_that_is_written_can_be_read() -> None:
    value: Any = 1
    for _ in range(DEEPEST - 1):
        value = [value]
    assert json_problems(value, "value") == []
    assert not isinstance(read_json(write_json(value)), JsonProblem)
    assert json_problems([value], "value")


def test_one_and_true_are_different_params() -> None:
    one, true = (Manifest("demo", WorkerId("a"), "log", {"x": x}, 1.0) for x in (1, True))
    assert one == true  # as Python sees it
    assert not one.same_worker(true)
