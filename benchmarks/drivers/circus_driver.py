"""Speaks to circusd through circus's own client. ``circus_driver.py ENDPOINT``."""

import sys
from typing import Any

from circus.client import CircusClient
from serve import serve

CLIENT = CircusClient(endpoint=sys.argv[1], timeout=120.0)


def call(command: str, **properties: Any) -> dict[str, Any]:
    answer: dict[str, Any] = CLIENT.call({"command": command, "properties": properties})
    if answer.get("status") not in {"ok", "active"} and "statuses" not in answer:
        raise RuntimeError(str(answer))
    return answer


def create(workers: dict[str, list[str]]) -> int:
    for name, argv in workers.items():
        call("add", name=name, cmd=argv[0], args=argv[1:], start=True, waiting=True, options={"copy_env": True})
    return len(workers)


def list_running() -> int:
    return sum(1 for status in call("status")["statuses"].values() if status == "active")


def remove(names: list[str]) -> int:
    for name in names:
        call("rm", name=name, waiting=True)
    return len(names)


serve({"create": create, "list": list_running, "remove": remove})
