"""Machines that are network namespaces: each with an address of its own on one bridge, and a cable that can be cut. Needs root.

Owns the bridge, the namespaces and what is plugged in. This process stands on the bridge too, as a machine of its own.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from tests.cluster.nodes import Machine

WITHIN_S: Final = 20.0


def why_not() -> str | None:
    """Why there can be no namespaces here; None: there can."""
    missing = [program for program in ("ip", "nsenter", "etcd") if shutil.which(program) is None]
    if os.geteuid() != 0:
        return "not root: network namespaces cannot be made"
    if missing:
        return f"not installed: {', '.join(missing)}"
    tried = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, timeout=WITHIN_S, check=False)
    return None if tried.returncode == 0 else f"the kernel has no network namespaces: {tried.stderr.strip()}"


@dataclass(frozen=True)
class Bridge:
    """``machines`` by name. Names of devices end with this process's number, so that two runs at once do not meet."""

    number: int
    machines: dict[str, Machine]

    @property
    def device(self) -> str:
        return f"fm-{self.number}"

    def plug(self, name: str) -> str:
        """The end of its cable at the bridge."""
        return f"fm{name}{self.number}"

    def namespace(self, name: str) -> str:
        return f"foreman-{name}-{self.number}"

    def cut(self, name: str) -> None:
        """Nothing comes or goes, and nobody is told: its cable stays plugged in, into nothing."""
        run("ip", "link", "set", self.plug(name), "nomaster")

    def mend(self, name: str) -> None:
        run("ip", "link", "set", self.plug(name), "master", self.device)


@contextmanager
def bridge(names: tuple[str, ...]) -> Iterator[Bridge]:
    """One namespace for each name, 10.X.Y.1 and up; this process has 10.X.Y.254."""
    number = os.getpid() % 65_536
    subnet = f"10.{128 + number // 256 % 127}.{number % 256}"
    machines = {
        name: Machine(f"{subnet}.{at}", ("nsenter", f"--net=/run/netns/foreman-{name}-{number}", "--")) for at, name in enumerate(names, 1)
    }
    made = Bridge(number, machines)
    try:
        run("ip", "link", "add", made.device, "type", "bridge")
        run("ip", "address", "add", f"{subnet}.254/24", "dev", made.device)
        run("ip", "link", "set", made.device, "up")
        for name in names:
            _plug_in(made, name)
        yield made
    finally:
        for name in names:  # the cable first: a namespace goes only when the last process in it has
            subprocess.run(["ip", "link", "delete", made.plug(name)], capture_output=True, timeout=WITHIN_S, check=False)
            subprocess.run(["ip", "netns", "delete", made.namespace(name)], capture_output=True, timeout=WITHIN_S, check=False)
        subprocess.run(["ip", "link", "delete", made.device], capture_output=True, timeout=WITHIN_S, check=False)


def _plug_in(made: Bridge, name: str) -> None:
    namespace, plug = made.namespace(name), made.plug(name)
    run("ip", "netns", "add", namespace)
    run("ip", "link", "add", plug, "type", "veth", "peer", "name", "eth0", "netns", namespace)
    run("ip", "link", "set", plug, "master", made.device, "up")
    run("ip", "-n", namespace, "address", "add", f"{made.machines[name].host}/24", "dev", "eth0")
    run("ip", "-n", namespace, "link", "set", "lo", "up")
    run("ip", "-n", namespace, "link", "set", "eth0", "up")


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=WITHIN_S)
