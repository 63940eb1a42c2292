"""Which kinds a node knows: the built-in ones, installed ones, configured ones; a broken distribution costs only its own."""

import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from foreman.core.errors import InvalidConfiguration, InvalidParams
from foreman.core.kinds import CommandProgram, KindSpec
from foreman.workers.kind import GROUP, LOG, installed_kinds, known_kinds


def point(name: str, value: str) -> EntryPoint:
    return EntryPoint(name, value, GROUP)


def test_storage_starts_after_log() -> None:
    kinds, problems = known_kinds()
    assert problems == []
    assert kinds.names() == ("log", "storage")
    assert kinds.before("storage") == {"log"}


def test_the_grace_of_the_built_in_kinds_is_the_nodes() -> None:
    kinds, _ = known_kinds(stop_grace_s=3.0)
    assert {spec.stop.grace_s for spec in kinds.specs()} == {3.0}


@pytest.mark.parametrize("value", ["no.such.module:KIND", "foreman.workers.kind:NO_SUCH", "foreman.workers.kind:GROUP", "not a value"])
def test_a_distribution_that_does_not_load_costs_only_its_own_kind(value: str) -> None:
    specs, problems = installed_kinds([point("broken", value), point("log2", "foreman.workers.kind:LOG")])
    assert specs == [LOG]
    assert len(problems) == 1
    assert "broken" in problems[0]


def test_no_kind_is_defined_twice() -> None:
    with pytest.raises(InvalidConfiguration):
        known_kinds([KindSpec("log", CommandProgram(("true",)))])


def test_params_are_checked_by_the_kind() -> None:
    kinds, _ = known_kinds()
    kinds.check("storage", {"logs": ["log_1"]})
    with pytest.raises(InvalidParams):
        kinds.check("storage", {"logs": ["../evil"]})


def test_checking_params_loads_no_server() -> None:
    """The node's server checks params while it starts; what serves is loaded by the supervisor alone."""
    program = (
        "import sys, foreman.workers.kind as kind\n"
        "assert kind.LOG.check_params({}) == kind.STORAGE.check_params({}) == []\n"
        "print(*sorted({'asyncio', 'ssl', 'hiredis', 'msgspec', 'lmdb', 'redis'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30)
    assert ran.stdout.split() == []
