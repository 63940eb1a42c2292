"""Records survive the way there and back, and bytes that are none are told, whatever they are."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreman.core.errors import InvalidClusterName
from foreman.core.views import ServiceInfo
from foreman.directory.errors import InvalidRecord
from foreman.directory.keys import ClusterKeys
from foreman.directory.records import (
    MAX_RECORD_BYTES,
    ClusterSpec,
    EpochRecord,
    Layout,
    LeaderRecord,
    NodeRecord,
    Placement,
    ServiceRecord,
    StorageTeam,
    decode,
    encode,
)

ids = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,62}", fullmatch=True)
texts = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=40)
placements = st.builds(Placement, ids, ids)
splits = st.sets(st.binary(min_size=1, max_size=12), max_size=4).map(lambda keys: tuple(sorted(keys)))


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    bounds = (b"", *draw(splits), None)
    members = st.lists(placements, min_size=1, max_size=3).map(tuple)
    teams = tuple(StorageTeam(begin, end, draw(members)) for begin, end in itertools.pairwise(bounds) if begin is not None)
    return Layout(draw(st.integers(0, 2**63 - 1)), draw(texts), draw(st.integers(0, 2**64 - 1)), draw(members), teams)


records = st.one_of(
    st.builds(NodeRecord, ids, texts, st.lists(texts, max_size=3).map(tuple), texts, texts),
    st.builds(ServiceRecord, ids, texts, ids, ids),
    st.builds(LeaderRecord, ids, texts),
    st.builds(EpochRecord, st.integers(0, 2**63 - 1), ids),
    st.builds(ClusterSpec, st.integers(1, 9), st.integers(1, 9), splits),
    layouts(),
)
KINDS: list[Any] = [NodeRecord, ServiceRecord, LeaderRecord, EpochRecord, ClusterSpec, Layout]
GOOD: dict[str, Any] = {"id": "w1", "kind": "log", "name": "demo_w1", "node": "n1"}


@given(records)
def test_there_and_back_is_the_same(record: Any) -> None:
    assert decode(type(record), b"/demo/x", encode(record)) == record


@given(st.sampled_from(KINDS), st.binary(max_size=200))
def test_any_bytes_are_a_record_or_told(kind: Any, value: bytes) -> None:
    with pytest.raises(InvalidRecord):
        decode(kind, b"/demo/x", value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(records, st.data())
def test_a_record_with_one_thing_changed_is_a_record_or_told(record: Any, data: st.DataObject) -> None:
    plain = json.loads(encode(record))
    plain[data.draw(st.sampled_from(sorted(plain)))] = data.draw(json_values)
    try:
        again = decode(type(record), b"/demo/x", json.dumps(plain).encode())
    except InvalidRecord:
        return
    assert decode(type(record), b"/demo/x", encode(again)) == again


@pytest.mark.parametrize(
    "change",
    [
        {"id": ""}, {"id": "../etc"}, {"id": "A"}, {"id": 7}, {"id": None}, {"node": "a/b"}, {"name": ""}, {"name": "a/b"},
        {"name": "x" * 200}, {"kind": "k" * 2000}, {"kind": "a\0b"},
    ],
    ids=str,
)  # fmt: skip
def test_a_service_with_a_bad_field_is_told(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidRecord, match="/demo/services"):
        decode(ServiceRecord, b"/demo/services/x", json.dumps({**GOOD, **change}).encode())


def test_a_field_of_a_later_version_is_let_pass() -> None:
    service = decode(ServiceRecord, b"k", json.dumps({**GOOD, "colour": "red"}).encode())
    assert service.info == ServiceInfo("w1", "log", "demo_w1")


@pytest.mark.parametrize("value", [b"[" * 100_000, b'{"id":' * 50_000, b" " * (MAX_RECORD_BYTES + 1), b"", b"null", b"\xff\xfe"])
def test_what_would_hurt_a_parser_is_told(value: bytes) -> None:
    for kind in KINDS:
        with pytest.raises(InvalidRecord):
            decode(kind, b"k", value)


def test_keys_of_nodes_and_services_never_meet() -> None:
    keys = ClusterKeys("demo")
    assert keys.service("n1", "demo_w1") in keys.services_of("n1")
    assert keys.service("n1", "demo_w1") not in keys.services_of("n")
    assert keys.service("n10", "demo_w1") not in keys.services_of("n1")
    assert keys.node("n1") in keys.nodes
    assert keys.node("n1") not in keys.services
    assert keys.layout in keys.everything
    assert ClusterKeys("demo2").layout not in keys.everything
    with pytest.raises(InvalidClusterName):
        ClusterKeys("../x")
