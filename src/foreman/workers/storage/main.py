"""A storage worker as a process: open the store, serve, follow the logs, flush and end.

Ready means: LMDB is open and reads are answered. It does not wait for logs: they may be starting, too.
"""

from foreman.core.data_errors import StorageFault
from foreman.core.errors import InvalidParams
from foreman.workers.host import Host, WorkerFailed, run_worker
from foreman.workers.storage.engine import Engine
from foreman.workers.storage.params import parse_params
from foreman.workers.storage.service import StorageService
from foreman.workers.storage.stored import UnreadableStore
from foreman.workers.wire import RespServer, listen
from foreman.workers.wire.listening import read_secret

_GRACE_S = 0.5
_START_S = 30.0


async def serve(host: Host) -> None:
    """Until TERM."""
    environment = host.environment
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
        try:
            listening = await listen(server, run=environment.run, params=environment.params)
        except OSError as error:
            raise WorkerFailed(f"it cannot listen: {error}") from error
        host.notify.endpoint(listening.endpoint)
        host.notify.ready()
        await service.run_until(host.stopping)
        await listening.close(_GRACE_S)
    finally:
        engine.close()


def main() -> None:
    """The entry point of kind ``storage``."""
    run_worker(serve)
