"""What the kernel says about processes: memory, processor time, descent. And about the machine."""

import os
import platform
from collections.abc import Iterable
from pathlib import Path


def pss_mb(pids: Iterable[int]) -> float:
    """Proportional set size of these processes together: shared pages are counted by share, so that sums are true."""
    total_kb = 0
    for pid in pids:
        for line in _read(f"/proc/{pid}/smaps_rollup").splitlines():
            if line.startswith("Pss:"):
                total_kb += int(line.split()[1])
    return total_kb / 1024


def cpu_ms(pids: Iterable[int]) -> float:
    """Processor time used so far by all threads of these processes, from the scheduler's own nanoseconds."""
    total_ns = 0
    for pid in pids:
        for task in _tasks(pid):
            schedstat = _read(f"/proc/{pid}/task/{task}/schedstat").split()
            total_ns += int(schedstat[0]) if schedstat else 0
    return total_ns / 1e6


def descendants(pid: int) -> list[int]:
    """All processes below this one, itself not included."""
    found: list[int] = []
    for task in _tasks(pid):
        for child in _read(f"/proc/{pid}/task/{task}/children").split():
            found += [int(child), *descendants(int(child))]
    return found


def disk_bytes(folder: Path) -> int:
    """What the files below a folder take on disk, not what they seem to hold."""
    return sum(path.lstat().st_blocks * 512 for path in folder.rglob("*"))


def machine() -> dict[str, str]:
    """What a reader needs to know to judge the numbers."""
    model = next((line.partition(":")[2].strip() for line in _read("/proc/cpuinfo").splitlines() if line.startswith("model name")), "")
    memory_kb = int(_read("/proc/meminfo").split()[1])
    return {
        "cores": str(os.cpu_count()),
        "processor": model,
        "memory": f"{memory_kb / 2**20:.0f} GiB",
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def _tasks(pid: int) -> list[str]:
    try:
        return os.listdir(f"/proc/{pid}/task")
    except (FileNotFoundError, ProcessLookupError):
        return []


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return ""
