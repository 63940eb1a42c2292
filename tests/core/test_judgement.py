"""Only what is plainly ours is ours; everything else is told apart, with its reason."""

from dataclasses import replace
from typing import Final

import pytest

from foreman.core.ids import WorkerId
from foreman.core.judgement import Broken, Busy, Entry, Foreign, Mine, judge
from foreman.core.kinds import Kinds, KindSpec, PythonProgram
from foreman.core.manifest import Manifest, Missing, NotJson, Truncated
from foreman.core.space import SpaceVerdict, space_verdict

KINDS: Final = Kinds([KindSpec("log", PythonProgram("package.module:main"))])
MANIFEST: Final = Manifest("demo", WorkerId("log_1"), "log", {}, 1.0)
ENTRY: Final = Entry("log_1", directory=True, manifest=MANIFEST, lock_held=False)


def test_a_whole_worker_of_this_cluster_is_mine() -> None:
    assert judge(ENTRY, "demo", KINDS) == Mine(MANIFEST)


@pytest.mark.parametrize("name", ["lost+found", ".hidden", "UPPER", "a" * 64, "log_1.tmp"])
def test_what_has_no_workers_name_is_foreign(name: str) -> None:
    assert isinstance(judge(replace(ENTRY, name=name), "demo", KINDS), Foreign)


@pytest.mark.parametrize(
    ("entry", "verdict", "word"),
    [
        (replace(ENTRY, directory=False), Foreign, "not a directory"),
        (replace(ENTRY, manifest=replace(MANIFEST, cluster="other")), Foreign, "cluster other"),
        (replace(ENTRY, manifest=replace(MANIFEST, id=WorkerId("log_2"))), Foreign, "log_2"),
        (replace(ENTRY, manifest=Missing()), Broken, "no manifest"),
        (replace(ENTRY, manifest=Truncated(3)), Broken, "cut short"),
        (replace(ENTRY, manifest=NotJson("it is not UTF-8")), Broken, "UTF-8"),
        (replace(ENTRY, manifest=replace(MANIFEST, kind="unheard")), Broken, "unheard"),
        (replace(ENTRY, manifest=replace(MANIFEST, params={"no": 1})), Broken, "'no'"),
        (replace(ENTRY, lock_held=True), Busy, "lock"),
        # What belongs to others is theirs, whoever holds its lock.
        (replace(ENTRY, lock_held=True, manifest=replace(MANIFEST, cluster="other")), Foreign, "cluster other"),
    ],
)
def test_each_other_case_has_its_verdict_and_reason(entry: Entry, verdict: type[Foreign | Broken | Busy], word: str) -> None:
    found = judge(entry, "demo", KINDS)
    assert isinstance(found, verdict)
    assert word in found.reason


def test_kinds_not_known_are_not_judged() -> None:
    entry = replace(ENTRY, manifest=replace(MANIFEST, kind="unheard"))
    assert isinstance(judge(entry, "demo", None), Mine)


@pytest.mark.parametrize(
    ("free", "minimum", "verdict"),
    [
        (0, 0, SpaceVerdict.ENOUGH),
        (99, 100, SpaceVerdict.TOO_LITTLE),
        (100, 100, SpaceVerdict.LOW),
        (199, 100, SpaceVerdict.LOW),
        (200, 100, SpaceVerdict.ENOUGH),
    ],
)
def test_space_is_judged_at_its_bounds(free: int, minimum: int, verdict: SpaceVerdict) -> None:
    assert space_verdict(free, minimum) is verdict
