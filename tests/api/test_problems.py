"""Every error class makes the whole way: raised by the Foreman, told as a problem, raised again as the same class with the same facts."""

import inspect
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreman import errors
from foreman.api.client import RemoteForeman
from foreman.api.problems import error_of, error_of_answer, problem_of, status_of
from foreman.api.wire import encode, strict_json
from foreman.errors import ForemanError, NotAuthorized, WorkerNotFound
from foreman.testing.fake_foreman import FakeForeman

NAMES = st.text(string.ascii_lowercase, min_size=1, max_size=8)
FACTS: dict[str, st.SearchStrategy[Any]] = {
    "errno": st.integers(0, 200), "free": st.integers(0, 2**60), "needed": st.integers(0, 2**60), "size": st.integers(0, 2**40),
    "limit": st.integers(0, 2**40), "expected": st.integers(0, 2**64 - 1), "epoch": st.integers(0, 2**40),
    "generation": st.integers(0, 2**40), "oldest": st.integers(0, 2**64 - 1), "newest": st.integers(0, 2**64 - 1),
    "durable_version": st.integers(0, 2**64 - 1), "last_version": st.integers(0, 2**64 - 1),
    "timeout": st.floats(0.001, 1e5), "known": st.lists(NAMES), "problems": st.lists(st.text()), "status": st.sampled_from([401, 403]),
    "failures": st.dictionaries(NAMES, st.text()), "workers": st.dictionaries(NAMES, st.text()),
}  # fmt: skip


def _classes() -> list[type[ForemanError]]:
    found = {value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, ForemanError)}
    return sorted((kind for kind in found if kind.fields), key=lambda kind: kind.__name__)


def _example(kind: type[ForemanError], data: st.DataObject) -> ForemanError:
    return kind(*(data.draw(FACTS.get(name, st.text().filter(lambda t: t.isprintable()))) for name in kind.fields))


@given(data=st.data(), kind=st.sampled_from(_classes()))
def test_an_error_is_the_same_after_the_way_through_json(data: st.DataObject, kind: type[ForemanError]) -> None:
    error = _example(kind, data)
    told = strict_json(encode(problem_of(error)))
    assert told["status"] == status_of(error)
    assert told["code"] == kind.code
    assert told["detail"] == str(error)
    again = error_of(told)
    assert type(again) is kind
    assert again == error


@pytest.mark.parametrize("kind", _classes(), ids=lambda kind: kind.__name__)
async def test_an_error_is_the_same_at_both_ends_of_the_socket(fake: FakeForeman, remote: RemoteForeman, kind: type[ForemanError]) -> None:
    simple: dict[str, Any] = {"known": ["a"], "problems": ["p"], "workers": {"w": "x"}, "failures": {"w": "x"}, "status": 401}
    numbers = {"errno", "free", "needed", "size", "limit", "expected", "epoch", "generation", "oldest", "newest", "timeout"}
    numbers |= {"durable_version", "last_version"}
    error = kind(*(simple.get(name, 7 if name in numbers else "text") for name in kind.fields))
    fake.fail_next("new_worker", error)
    with pytest.raises(kind) as caught:
        await remote.new_worker("log_1", "log")
    assert caught.value == error
    assert str(caught.value) == str(error)


def test_the_status_of_not_authorized_is_its_own() -> None:
    assert status_of(NotAuthorized("who?", 401)) == 401
    assert status_of(NotAuthorized("no", 403)) == 403


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"code": 3}', b'{"code":"worker_not_found"}', b"[" * 100_000, b"\xff"])
def test_an_answer_that_is_no_problem_is_still_an_error(body: bytes) -> None:
    assert isinstance(error_of_answer(502, body), ForemanError)


def test_facts_that_do_not_fit_their_class_are_a_plain_error() -> None:
    told = {"code": "workers_unhealthy", "detail": "from a newer node", "workers": 3}
    error = error_of(told)
    assert type(error) is ForemanError
    assert str(error) == "from a newer node"


def test_an_error_from_the_problem_of_another_is_not_taken_for_it() -> None:
    assert error_of(problem_of(WorkerNotFound("a"))) != WorkerNotFound("b")
