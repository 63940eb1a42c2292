"""The comparison's worker as Foreman kinds, the way a user's distribution brings its own: an entry point that names a KindSpec."""

from pathlib import Path
from typing import Final

from foreman.core.kinds import KindSpec, Params, PythonProgram

ENTRY_POINTS: Final = "[foreman.kinds]\nbench = benchmarks.bench_kind:BENCH\n"
METADATA: Final = "Metadata-Version: 2.1\nName: foreman-bench-kind\nVersion: 1\n"
NATIVE_TOML: Final = """[kinds.native]
command = ["{program}", "{{id}}", "{{data}}", "{{params.beacon}}"]
ready = "notify"
"""


def _takes_the_beacon(params: Params) -> list[str]:
    return [] if params.keys() == {"beacon"} else ["needs exactly the param 'beacon'"]


BENCH: Final = KindSpec(
    name="bench",
    program=PythonProgram("benchmarks.worker:foreman_main"),
    preload=("benchmarks.worker",),
    check_params=_takes_the_beacon,
)


def install(site: Path) -> None:
    """Make a folder that, on PYTHONPATH, is an installed distribution with this kind."""
    info = site / "foreman_bench_kind-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(METADATA, encoding="utf-8")
    (info / "entry_points.txt").write_text(ENTRY_POINTS, encoding="utf-8")
