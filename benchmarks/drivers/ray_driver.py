"""Speaks to Ray: a worker is an actor without a processor reservation, started again for ever. ``ray_driver.py TEMPORARY_DIRECTORY``."""

import os
import sys
from pathlib import Path
from typing import Any

import ray
from serve import serve

os.environ["PYTHONPATH"] = str(Path(__file__).resolve().parents[1])  # Ray's processes inherit it, so that an actor finds the worker

ACTORS: dict[str, Any] = {}


class Worker:
    def __init__(self, name: str, directory: str, beacon: str) -> None:
        from worker import prepare

        prepare(name, directory, beacon)


def start() -> int:
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        _temp_dir=sys.argv[1],
        object_store_memory=100 * 2**20,
    )
    return 0


def create(workers: dict[str, list[str]]) -> int:
    actor = ray.remote(num_cpus=0, max_restarts=-1)(Worker)
    for name, argv in workers.items():
        ACTORS[name] = actor.options(name=name).remote(*argv[-3:])
    return len(workers)


def list_running() -> int:
    states = ray._private.state.actors().values()  # noqa: SLF001 - Ray's public listing needs its dashboard
    return sum(1 for state in states if state["State"] == "ALIVE")


def remove(names: list[str]) -> int:
    for name in names:
        ray.kill(ACTORS.pop(name), no_restart=True)
    return len(names)


serve({"start": start, "create": create, "list": list_running, "remove": remove})
