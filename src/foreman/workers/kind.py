"""The kinds a node knows: log and storage, those that installed distributions bring, and those from the configuration.

Owns the description of the two built-in kinds and the entry-point group ``foreman.kinds``. An entry point names a KindSpec:

    [project.entry-points."foreman.kinds"]
    cache = "our_package.kinds:CACHE"

Never loads the program of a kind; that is for the supervisor, which forks it. A distribution that does not load costs its own kinds
only: their workers show why, and all others run.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points
from typing import Final

from foreman.core.kinds import Kinds, KindSpec, PythonProgram, RestartType, StopSpec
from foreman.workers.log.params import check_params as check_log_params
from foreman.workers.storage.params import check_params as check_storage_params

GROUP: Final = "foreman.kinds"


LOG: Final = KindSpec(
    name="log",
    program=PythonProgram("foreman.workers.log.main:main"),
    restart=RestartType.PERMANENT,  # nothing but a request to the Foreman may take a log away, not even a stray TERM
    preload=("foreman.workers.log.main",),
    listens=True,
    check_params=check_log_params,
)
STORAGE: Final = KindSpec(
    name="storage",
    program=PythonProgram("foreman.workers.storage.main:main"),
    after=("log",),
    restart=RestartType.PERMANENT,
    preload=("foreman.workers.storage.main",),
    listens=True,
    check_params=check_storage_params,
)
BUILT_IN: Final = (LOG, STORAGE)


def known_kinds(more: Sequence[KindSpec] = (), *, stop_grace_s: float = 10.0) -> tuple[Kinds, list[str]]:
    """All kinds of this node, and a sentence for each distribution whose kind cannot be used.

    ``stop_grace_s``: of the built-in ones.

    Raises InvalidConfiguration when a name is given twice, an ``after`` names no kind, or kinds start after one another in a circle.
    """
    installed, problems = installed_kinds(entry_points(group=GROUP))
    built_in = [replace(spec, stop=StopSpec(grace_s=stop_grace_s)) for spec in BUILT_IN]
    return Kinds([*built_in, *installed, *more]), problems


def installed_kinds(points: Iterable[EntryPoint]) -> tuple[list[KindSpec], list[str]]:
    """The kinds that entry points name, and why the others cannot be used."""
    specs: list[KindSpec] = []
    problems: list[str] = []
    for point in points:
        try:
            loaded = point.load()
        except Exception as error:  # foreign code: it may fail in any way, and must not take the node along
            problems.append(f"kind {point.name} of {_source(point)} cannot be loaded: {type(error).__name__}: {error}")
            continue
        if isinstance(loaded, KindSpec):
            specs.append(loaded)
        else:
            problems.append(f"kind {point.name} of {_source(point)} is a {type(loaded).__name__}, not a KindSpec")
    return specs, problems


def _source(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.value
