"""What HTTP promises: documented answers, problems for every error, limits, strict input."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from foreman.api.app import create_app
from foreman.testing.fake_foreman import FakeForeman

STREAMS = ("/v1/events", "/v1/cluster/events")
schema = schemathesis.openapi.from_asgi("/openapi.json", create_app(FakeForeman()))
answered_at_once = schema.exclude(path=list(STREAMS)).exclude(operation_id=["getOutput"])


@answered_at_once.parametrize()
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_operation_keeps_to_its_document(case: schemathesis.Case[Any]) -> None:
    answer = case.call()
    if answer.status_code == 413:
        return  # more than fits a request; the document cannot say that in terms of fields
    # Which kinds there are is a node's own matter: a kind that fits the document may still be unknown.
    case.validate_response(answer, excluded_checks=[positive_data_acceptance])


@pytest.fixture
async def http(socket_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(socket_path)), base_url="http://foreman", timeout=10) as client:
        yield client


def _problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert (body["status"], body["code"]) == (status, code)
    assert {"type", "title", "detail"} <= body.keys()
    return body


async def test_a_worker_from_beginning_to_end(http: httpx.AsyncClient) -> None:
    made = await http.post("/v1/workers", json={"id": "log_1", "kind": "log", "params": {}, "timeout": 5})
    assert made.status_code == 201
    assert made.json() == {"id": "log_1", "kind": "log", "name": "demo_log_1"}
    assert made.headers["location"] == "/v1/workers/log_1"
    assert (await http.get("/v1/workers/log_1")).json()["health"] == {"status": "ok", "reason": None}
    assert [info["id"] for info in (await http.get("/v1/workers?kind=log")).json()] == ["log_1"]
    assert (await http.get("/v1/services")).json() == [["log_1", "log", "demo_log_1"]]
    assert (await http.get("/v1/health")).json() == {"status": "ok", "reason": None, "workers": {"log_1": {"status": "ok", "reason": None}}}
    assert (await http.post("/v1/workers/log_1/restart")).status_code == 204
    assert (await http.post("/v1/workers/log_1/health", json={"status": "error", "reason": "full"})).status_code == 204
    unhealthy = await http.get("/v1/health")
    assert unhealthy.status_code == 503
    assert unhealthy.json()["workers"]["log_1"] == {"status": "error", "reason": "full"}
    assert len((await http.get("/v1/workers/log_1/story")).json()) == 3
    removed = await http.post("/v1/workers:batchRemove", json={"ids": ["log_1", "gone"]})
    assert removed.status_code == 200
    assert removed.json()["log_1"] is None
    assert removed.json()["gone"]["code"] == "worker_not_found"
    _problem(await http.delete("/v1/workers/log_1"), 404, "worker_not_found")


async def test_a_batch_is_created_whole_or_not_at_all(http: httpx.AsyncClient) -> None:
    good = await http.post("/v1/workers:batchCreate", json={"workers": [{"id": "a", "kind": "log"}, {"id": "b", "kind": "log"}]})
    assert [ref["id"] for ref in good.json()] == ["a", "b"]
    bad = await http.post("/v1/workers:batchCreate", json={"workers": [{"id": "c", "kind": "log"}, {"id": "d", "kind": "broken"}]})
    assert _problem(bad, 502, "batch_failed")["failures"] == {"d": "exit 1"}
    assert [info["id"] for info in (await http.get("/v1/workers")).json()] == ["a", "b"]


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"null", b"[]", b'"x"', b"\xff\xfe", b'{"id":"a"}', b'{"id":"a","kind":"log","extra":1}', b'{"id":1,"kind":"log"}',
        b'{"id":"a","kind":"log","timeout":"5"}', b'{"id":"a","kind":"log","timeout":0}', b'{"id":"a","kind":"log","timeout":NaN}',
        b'{"id":"a","kind":"log","timeout":1e999}', b'{"id":"a","kind":"log","params":{"x":NaN}}', b'{"id":"a","kind":"log","params":[]}',
        b'{"id":"\\ud800","kind":"log"}', b'{"id":"../evil","kind":"log"}', b'{"id":"","kind":"log"}',
        b'{"id":"a","kind":"log","params":' + b"[" * 50_000 + b"]" * 50_000 + b"}", b'{"id":"a","kind":"log"} trailing',
    ],
)  # fmt: skip
async def test_a_body_that_is_not_what_it_must_be_is_422(http: httpx.AsyncClient, body: bytes) -> None:
    answer = await http.post("/v1/workers", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] in {"invalid_request", "invalid_worker_id"}


async def test_a_form_is_no_json(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/workers", content=b'{"id":"a","kind":"log"}', headers={"content-type": "text/plain"})
    assert "application/json" in _problem(answer, 422, "invalid_request")["detail"]


@pytest.mark.parametrize("path", ["/v1/workers?knid=log", "/v1/health?x", "/v1/node?a=1", "/v1/workers/log_1?follow=1"])
async def test_an_unknown_parameter_is_refused(http: httpx.AsyncClient, path: str) -> None:
    _problem(await http.get(path if "=" in path else path + "=1"), 422, "invalid_request")


async def test_what_is_not_there_is_a_problem_too(http: httpx.AsyncClient) -> None:
    _problem(await http.get("/nothing"), 404, "not_found")
    _problem(await http.get("/v1/workers/"), 404, "not_found")
    answer = await http.put("/v1/workers")
    _problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"]


async def test_a_body_over_a_mebibyte_is_413_declared_or_not(http: httpx.AsyncClient) -> None:
    headers = {"content-type": "application/json"}
    _problem(await http.post("/v1/workers", content=b"x" * (1 << 20) + b"x", headers=headers), 413, "invalid_request")

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b"x" * 65_536

    try:
        answer = await http.post("/v1/workers", content=endless(), headers=headers)
    except httpx.WriteError:
        return  # refused while it was still being sent
    _problem(answer, 413, "invalid_request")


async def test_a_bug_is_a_problem_without_a_traceback(fake: FakeForeman, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(**_: object) -> None:
        raise RuntimeError("a secret in a traceback")

    monkeypatch.setattr(fake, "infos", broken)
    answer = await http.get("/v1/workers")
    _problem(answer, 500, "internal_error")
    assert "secret" not in answer.text
    assert (await http.get("/v1/services")).status_code in {200, 500}, "the next request is served"


async def test_events_resume_after_the_last_that_was_seen(http: httpx.AsyncClient, fake: FakeForeman) -> None:
    await fake.new_worker("log_1", "log")
    await fake.new_worker("log_2", "log")
    first = await _messages(http, {"last-event-id": "0"}, 2)
    assert [message["event"] for message in first] == ["worker_changed", "worker_changed"]
    assert [json.loads(message["data"])["id"] for message in first] == ["log_1", "log_2"]
    assert await _messages(http, {"last-event-id": first[0]["id"]}, 1) == first[1:]
    assert await _messages(http, {"last-event-id": "anotherlife-99"}, 2) == first, "another life: everything is news"
    _problem(await http.get("/v1/events", headers={"last-event-id": "nonsense"}), 422, "invalid_request")


async def _messages(http: httpx.AsyncClient, headers: dict[str, str], count: int) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    message: dict[str, str] = {}
    async with http.stream("GET", "/v1/events", headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        async for line in answer.aiter_lines():
            if line:
                name, _, value = line.partition(": ")
                message[name] = value
            elif "data" in message:
                found.append(message)
                message = {}
                if len(found) == count:
                    return found
            else:
                message = {}
    return found


async def test_output_follows(http: httpx.AsyncClient, fake: FakeForeman) -> None:
    await fake.new_worker("log_1", "log")
    fake.outputs["log_1"] = [b"one\n", b"two\n"]
    assert (await http.get("/v1/workers/log_1/output")).text == "one\ntwo\n"
    async with http.stream("GET", "/v1/workers/log_1/output?follow=true") as answer:
        stream = answer.aiter_bytes()
        assert await anext(stream) == b"one\n"
        fake.down.set()
        assert b"".join([chunk async for chunk in stream]) == b"two\n"
    _problem(await http.get("/v1/workers/gone/output"), 404, "worker_not_found")


async def test_metrics_are_for_prometheus(http: httpx.AsyncClient, fake: FakeForeman) -> None:
    await fake.new_worker("log_1", "log")
    answer = await http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    assert 'foreman_workers{kind="log",state="running"} 1.0' in answer.text


async def test_shutdown_is_accepted(http: httpx.AsyncClient, fake: FakeForeman) -> None:
    assert (await http.post("/v1/node:shutdown")).status_code == 202
    await asyncio.wait_for(fake.down.wait(), 5)


async def test_another_sites_page_cannot_act(http: httpx.AsyncClient) -> None:
    for headers in ({"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}, {"origin": "null"}):
        _problem(await http.post("/v1/node:shutdown", headers=headers), 403, "not_authorized")
    assert (await http.post("/v1/health:wait", headers={"origin": "http://foreman"})).status_code == 204
