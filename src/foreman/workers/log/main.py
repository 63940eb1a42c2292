"""A log worker as a process: read what is there, serve, end in order.

Ready means: every segment has been read and checked, and the socket answers.
"""

import asyncio
import os
import time
from functools import partial

from foreman.core.errors import InvalidParams
from foreman.core.health import Health
from foreman.kernel.files import errno_name, read_bounded
from foreman.workers.host import Host, WorkerFailed, run_worker
from foreman.workers.log.cold_starting import DamagedLog, cold_start
from foreman.workers.log.params import parse_params
from foreman.workers.log.recycling import SUBSCRIBERS_FILE, Subscribers, decode_subscribers
from foreman.workers.log.segments import Segments
from foreman.workers.log.service import LogService
from foreman.workers.log.standing import STANDING_FILE, Standing, decode_standing
from foreman.workers.wire import RespServer, listen
from foreman.workers.wire.secret import read_secret

_GRACE_S = 0.5
_START_S = 30.0
_TOLD_EVERY_S = 1.0
_MAX_BESIDE_BYTES = 1 << 20


async def serve(host: Host) -> None:
    """Until TERM, or until the disk fails for good."""
    environment = host.environment
    host.notify.extend(_START_S)
    try:
        params = parse_params(environment.params)
        secret = read_secret(environment.params)
        segments, standing, subscribers = await _open(host, environment.data)
    except (InvalidParams, DamagedLog, ValueError) as error:
        raise WorkerFailed(str(error)) from error
    except OSError as error:
        raise WorkerFailed(f"{errno_name(error.errno or 0)} at {error.filename}: {error.strerror}") from error
    service = LogService(host, params, segments, standing, subscribers)
    server = RespServer(service.commands(), secret=secret, settings={b"save": b"", b"appendonly": b"yes", b"appendfsync": b"always"})
    try:
        listening = await listen(server, run=environment.run, params=environment.params)
    except OSError as error:
        raise WorkerFailed(f"it cannot listen: {error}") from error
    host.notify.endpoint(listening.said)
    host.notify.health(Health.ok())
    host.notify.status(f"last version {service.writer.durable}")
    host.notify.ready()
    await _until_stopped_or_failed(host, service)
    listening.stop_accepting()
    if not service.fault.done():
        await service.stop()
    await listening.close(_GRACE_S)
    if service.fault.done():
        raise WorkerFailed(f"the disk failed, what it holds is read again at the next start: {service.fault.result()}")


async def _until_stopped_or_failed(host: Host, service: LogService) -> None:
    stopping = asyncio.create_task(host.stopping.wait())
    service.fault.add_done_callback(lambda _: stopping.cancel())
    await asyncio.wait([stopping])


async def _open(host: Host, directory: str) -> tuple[Segments, Standing, Subscribers]:
    """Raises DamagedLog, OSError, ValueError."""
    host.notify.status("reading the segments")
    loop = asyncio.get_running_loop()
    found = await asyncio.to_thread(cold_start, directory, partial(_tell_progress, host, loop, [time.monotonic()]))
    segments = Segments(directory, found.segments, found.left)
    standing_path, subscribers_path = os.path.join(directory, STANDING_FILE), os.path.join(directory, SUBSCRIBERS_FILE)
    standing = decode_standing(read_bounded(standing_path, _MAX_BESIDE_BYTES)) if os.path.exists(standing_path) else Standing()
    known = decode_subscribers(read_bounded(subscribers_path, _MAX_BESIDE_BYTES)) if os.path.exists(subscribers_path) else {}
    if not found.segments:
        _begin(segments, standing)
    if found.cut_bytes:
        print(f"cut {found.cut_bytes} bytes of an unfinished write after version {segments.current.last}", flush=True)  # noqa: T201
    return segments, standing, Subscribers(known)


def _begin(segments: Segments, standing: Standing) -> None:
    """A fresh directory: the log begins after version 0."""
    if standing != Standing():
        raise DamagedLog(segments.directory, 0, "no segment is there, but the log has had some")
    segments.begin_anew(0)


def _tell_progress(host: Host, loop: asyncio.AbstractEventLoop, told_at: list[float], read: int, total: int) -> None:
    """From the thread that reads: how far it is, and that it needs more time."""
    if time.monotonic() - told_at[0] >= _TOLD_EVERY_S:
        told_at[0] = time.monotonic()
        loop.call_soon_threadsafe(host.notify.status, f"read {read >> 20} of {total >> 20} MiB")
        loop.call_soon_threadsafe(host.notify.extend, _START_S)


def main() -> None:
    """The entry point of kind ``log``."""
    run_worker(serve)
