"""What a worker is given at its start: program, directory, environment, limits. From the machine's wish to the supervisor's request.

The node's own environment (PATH, HOME) is read once. The environment of a worker is built here from nothing, so
that nothing of the operator's shell reaches it by accident.
"""

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from foreman.core.effects import ProbeReadiness, StartWorker
from foreman.core.kinds import CommandProgram, Kinds, KindSpec, PythonProgram, fill
from foreman.core.manifest import params_json
from foreman.node.data_directory import DataDirectory
from foreman.node.other_user import make_room
from foreman.node.run_directory import SERVER_SOCKET, worker_run_directory
from foreman.supervisor.start_request import Limits, Output, StartRequest, StopOrder

OUTPUT_FILES: Final = 4


@dataclass(frozen=True, slots=True)
class LaunchSettings:
    """``watchdog_s``: for kinds that say none of their own; 0: off. ``listen``: params for workers of kinds that listen and have no
    ``listen`` of their own.
    """

    output_max_bytes: int
    watchdog_s: float
    listen: Mapping[str, Any] = field(default_factory=dict)


class Launching:
    """``run``: the run directory. ``kinds`` and ``settings`` are asked at each start, because a reload may have changed them."""

    def __init__(self, data: DataDirectory, kinds: Callable[[], Kinds], settings: Callable[[], LaunchSettings]) -> None:
        self.run = data.run
        self._cluster = data.cluster
        self._workers = str(data.layout.workers)
        self._kinds = kinds
        self._settings = settings
        self._inherited = {"PATH": os.environ.get("PATH", os.defpath), "HOME": os.environ.get("HOME", "/")}

    def request(self, effect: StartWorker) -> StartRequest:
        spec, settings, id = self._kinds()[effect.kind], self._settings(), effect.id
        watchdog_s = (settings.watchdog_s if spec.watchdog_s is None else spec.watchdog_s) or None
        return StartRequest(
            id=id,
            incarnation=effect.incarnation,
            program=self._program(effect, spec),
            cwd=f"{self._workers}/{id}/data",
            env=self._environment(effect, self._params(effect, spec, settings), watchdog_s),
            lock=self.lock_of(id),
            output=Output(f"{self._workers}/{id}/output", max(1, settings.output_max_bytes // OUTPUT_FILES), OUTPUT_FILES),
            limits=Limits(spec.limits.nofile, spec.limits.memory_bytes, spec.limits.nproc, spec.limits.core_bytes),
            stop=StopOrder(signal_number(spec.stop.signal), spec.stop.grace_s, self._stop_rank(spec)),
            user=spec.user,
            watchdog_s=watchdog_s,
        )

    def make_room(self, effect: StartWorker) -> None:
        """Its run directory, and whatever a worker of another user needs to reach its own. Raises OSError."""
        run, user = worker_run_directory(self.run, effect.id), self._kinds()[effect.kind].user
        if user is not None:
            workers = Path(self._workers)
            make_room(user, above=(workers.parent, workers, workers / effect.id), own=(workers / effect.id / "data", run))

    def lock_of(self, id: str) -> str:
        return f"{self._workers}/{id}/lock"

    def fill(self, effect: StartWorker | ProbeReadiness, words: Sequence[str]) -> tuple[str, ...]:
        """Words with the placeholders of this worker filled."""
        id = effect.id
        values = {
            "data": f"{self._workers}/{id}/data",
            "run": f"{self.run}/{id}",
            "id": id,
            "cluster": self._cluster,
        }
        return fill(words, values, effect.params)

    def working_directory(self, effect: ProbeReadiness) -> str:
        return f"{self._workers}/{effect.id}/data"

    def _program(self, effect: StartWorker, spec: KindSpec) -> str | tuple[str, ...]:
        match spec.program:
            case PythonProgram(function):
                return function
            case CommandProgram(argv):
                return self.fill(effect, argv)

    def _params(self, effect: StartWorker, spec: KindSpec, settings: LaunchSettings) -> Mapping[str, Any]:
        """Its own, and beneath them what the node adds: that is no wish of anybody's, so it stands in no manifest."""
        return {**settings.listen, **effect.params} if spec.listens and "listen" not in effect.params else effect.params

    def _environment(self, effect: StartWorker, params: Mapping[str, Any], watchdog_s: float | None) -> Mapping[str, str]:
        given = {
            "FOREMAN_WORKER_ID": effect.id,
            "FOREMAN_CLUSTER": self._cluster,
            "FOREMAN_INCARNATION": effect.incarnation,
            "FOREMAN_KIND": effect.kind,
            "FOREMAN_PARAMS": params_json(params),
            "FOREMAN_RUN": f"{self.run}/{effect.id}",
            "FOREMAN_ADDRESS": f"unix:{self.run}/{SERVER_SOCKET}",
            "NOTIFY_SOCKET": f"{self.run}/notify.sock",
            "LANG": "C.UTF-8",
        }
        watched = {} if watchdog_s is None else {"WATCHDOG_USEC": str(int(watchdog_s * 1_000_000))}
        return self._inherited | given | watched

    def _stop_rank(self, spec: KindSpec) -> int:
        """What starts last stops first."""
        kinds = self._kinds()
        return max(kinds.rank(name) for name in kinds.names()) - kinds.rank(spec.name)


def signal_number(name: str) -> int:
    """From "TERM" or "SIGTERM" to 15. Raises KeyError for what is no signal; configuration and machine name only signals."""
    return signal.Signals["SIG" + name.removeprefix("SIG")].value


def signal_name(number: int) -> str:
    """From 15 to "SIGTERM"; a real-time signal has only its number."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
