"""What the kernel says about a node's workers, without asking the node."""

from collections import Counter
from pathlib import Path

from foreman.kernel.files import try_lock
from foreman.kernel.processes import all_pids, environment_of, stat_of
from foreman.node.run_directory import run_directory_of


def worker_processes(data: Path) -> dict[str, list[int]]:
    """Worker id → every living process that carries its name, of the node on ``data`` only."""
    run = str(run_directory_of(data))
    found: dict[str, list[int]] = {}
    for pid in all_pids():
        environment = environment_of(pid)
        id = environment.get(b"FOREMAN_WORKER_ID", b"").decode()
        stat = stat_of(pid)
        if id and environment.get(b"FOREMAN_RUN", b"").decode() == f"{run}/{id}" and stat is not None and stat.state != "Z":
            found.setdefault(id, []).append(pid)
    return found


def counts(data: Path) -> Counter[str]:
    return Counter({id: len(pids) for id, pids in worker_processes(data).items()})


def held_locks(data: Path) -> set[str]:
    """The workers whose lock somebody holds."""
    held = set()
    for path in (data / "workers").glob("*/lock"):
        taken = try_lock(str(path))
        if taken is None:
            held.add(path.parent.name)
        else:
            taken.release()
    return held


def leftovers(data: Path) -> list[str]:
    """What lies in staging, trash and journal."""
    return sorted(str(path.relative_to(data)) for name in ("staging", "trash", "journal") for path in (data / name).iterdir())


def starts(data: Path, id: str) -> list[str]:
    """The incarnations that a ``good`` worker wrote down, one a start."""
    return [line.split()[1] for line in (data / "workers" / id / "data" / "starts").read_text().splitlines()]
