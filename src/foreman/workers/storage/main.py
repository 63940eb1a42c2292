"""A storage worker as a process: open the store, serve, follow the logs, flush and end.

Ready means: LMDB is open, its data is whole, and reads are answered. It does not wait for logs: they may be starting, too. Where a copy
from a replica is under way, or may turn out to be needed (replicas are named and there is no data yet), it is served from the beginning for
LOCK, UNLOCK and INFO, and ready when the copy is whole.
"""

import sys

from foreman.core.data_errors import StorageFault
from foreman.core.errors import InvalidParams
from foreman.workers.host import Host, WorkerEnvironment, WorkerFailed, run_worker
from foreman.workers.storage.engine import Engine
from foreman.workers.storage.params import parse_params
from foreman.workers.storage.service import StorageService
from foreman.workers.storage.stored import UnreadableStore
from foreman.workers.wire import Listening, RespServer, listen
from foreman.workers.wire.secret import read_secret

_GRACE_S = 0.5
_START_S = _STOP_S = 30.0
_SWITCH_S = 0.0005
"""How long the thread that flushes may hold up the loop that serves. Python's 5 ms would be seen in the reads' tail."""


async def serve(host: Host) -> None:
    """Until TERM."""
    environment = host.environment
    sys.setswitchinterval(_SWITCH_S)
    host.notify.extend(_START_S)
    host.notify.status("opening the store")
    try:
        params = parse_params(environment.params)
        secret = read_secret(environment.params)
        engine = Engine(environment.data)
    except (InvalidParams, UnreadableStore, StorageFault, OSError, ValueError) as error:
        raise WorkerFailed(str(error)) from error
    try:
        service = StorageService(host, params, engine)
        server = RespServer(service.commands(), secret=secret, settings={b"save": b"", b"appendonly": b"no"})
        await _serve_with(host, service, await _listen(server, environment))
    finally:
        engine.close()


async def _listen(server: RespServer, environment: WorkerEnvironment) -> Listening:
    try:
        return await listen(server, run=environment.run, params=environment.params)
    except OSError as error:
        raise WorkerFailed(f"it cannot listen: {error}") from error


async def _serve_with(host: Host, service: StorageService, listening: Listening) -> None:
    """Clients go before the last flush, so that nothing can be asked of a store that closes."""
    host.notify.endpoint(listening.said)
    try:
        await service.run_until(host.stopping)
        host.notify.extend(_STOP_S)
    finally:
        await listening.close(_GRACE_S)
        await service.finish()


def main() -> None:
    """The entry point of kind ``storage``."""
    run_worker(serve)
