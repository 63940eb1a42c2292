"""Params are judged before anything is made; and which log is pulled from."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreman.core.errors import InvalidParams
from foreman.workers.storage.params import check_params, parse_params
from foreman.workers.storage.sources import Sources

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3)
)
NAMES = st.sampled_from(["logs", "window_s", "memory_bytes", "version_wait_s", "listen", "tls", "auth_file", "other"])


@pytest.mark.parametrize(
    "params", [{}, {"logs": ["log_1", "unix:/run/x/resp.sock", "10.0.0.1:7001"]}, {"window_s": 0.5, "memory_bytes": 1 << 20}]
)
def test_good_params(params: dict[str, object]) -> None:
    assert check_params(params) == []


@pytest.mark.parametrize(
    "params",
    [
        {"log": []},
        {"logs": "log_1"},
        {"logs": ["../x"]},
        {"logs": [1]},
        {"logs": ["a", "a"]},
        {"window_s": -1},
        {"window_s": True},
        {"window_s": float("nan")},
        {"memory_bytes": 1},
        {"memory_bytes": 1.5},
        {"version_wait_s": "1"},
        {"listen": "0.0.0.0:1"},
    ],
)
def test_bad_params_have_one_sentence_each(params: dict[str, object]) -> None:
    assert len(check_params(params)) == 1
    with pytest.raises(InvalidParams):
        parse_params(params)


@given(st.dictionaries(NAMES, JSON))
def test_any_params_are_judged(params: dict[str, object]) -> None:
    if not check_params(params):
        parse_params(params)


@given(st.lists(st.tuples(st.sampled_from(["works", "fails", "ahead"]), st.sampled_from("abc"))))
def test_the_current_log_is_one_that_works_as_long_as_any_does(story: list[tuple[str, str]]) -> None:
    sources = Sources("abc")
    for what, log in story:
        match what:
            case "works":
                sources.works(log)
            case "fails":
                sources.fails(log, "why")
            case _:
                sources.is_ahead(log)
        assert sources.current in {"a", "b", "c"}
        assert sources.current not in sources.failures or sources.all_failed


def test_the_next_log_takes_over_and_keeps_the_place() -> None:
    sources = Sources(["a", "b", "c"])
    sources.fails("a", "gone")
    assert sources.current == "b"
    sources.works("a")
    assert sources.current == "b"
    sources.fails("b", "gone")
    sources.fails("c", "gone")
    assert sources.current == "a"
    assert Sources(()).current is None
