"""Commands about workers: new, ls, show, rm, restart, stop, start."""

import json
import sys
from typing import Annotated, Any

import typer

from foreman.cli.completing import worker_ids
from foreman.cli.progress import doing
from foreman.cli.shown import WORKER_TITLES, AsJson, moment, one_line, plain_table, print_json, print_table, worker_row, write
from foreman.cli.target import Foreman, client
from foreman.core.errors import ForemanError

NewId = Annotated[str, typer.Argument(help="The worker's id.", show_default=False)]
Id = Annotated[str, typer.Argument(help="The worker's id.", show_default=False, autocompletion=worker_ids)]
Within = Annotated[float, typer.Option("--timeout", help="Seconds to wait; the work itself goes on.", min=0.001)]


def _checked(texts: list[str] | None) -> list[str]:
    """As usage, before anything is connected to."""
    for text in texts or ():
        if not text.partition("=")[0] or "=" not in text:
            raise typer.BadParameter(f"{text!r} is not NAME=VALUE")
    return list(texts or ())


Params = Annotated[
    list[str] | None, typer.Option("--param", "-p", metavar="K=V", help="A parameter; V is JSON, or else text.", callback=_checked)
]


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (new, ls, show, rm, restart, stop, start):
        app.command(command.__name__, rich_help_panel="Workers")(client(command))


def params_of(texts: list[str]) -> dict[str, Any]:
    """Each value as JSON, or else as the text it is."""
    params: dict[str, Any] = {}
    for name, _, value in (text.partition("=") for text in texts):
        try:
            params[name] = json.loads(value)
        except ValueError:
            params[name] = value
    return params


async def new(
    foreman: Foreman,
    id: NewId,
    kind: Annotated[str, typer.Option("--kind", "-k", help="log, storage, or a kind from foreman.toml.", show_default=False)],
    param: Params = None,
    timeout: Within = 30.0,
    json: AsJson = False,  # noqa: FBT002 (an option on the command line)
) -> None:
    """Create a worker and wait until it is healthy.

    The same id, kind and parameters again is the same worker.

    Examples:  foreman new log_1 --kind log  ·  foreman new storage_1 -k storage -p 'logs=["log_1"]'
    """
    params = params_of(param or [])
    async with doing(f"creating {id}"):
        ref = await foreman.new_worker(id, kind, params, timeout=timeout)
    if json:
        print_json(ref)
    else:
        print(f"{ref.id} is healthy, as {ref.name}")


async def ls(
    foreman: Foreman,
    kind: Annotated[str | None, typer.Option("--kind", "-k", help="Only workers of this kind.")] = None,
    json: AsJson = False,  # noqa: FBT002
) -> None:
    """List the workers with their state and health.

    Examples:  foreman ls  ·  foreman ls --kind log --json
    """
    infos = await foreman.infos(kind=kind)
    if json:
        print_json(infos)
    else:
        print_table(WORKER_TITLES, [worker_row(info) for info in infos], empty="no workers; create one: foreman new log_1 --kind log")


async def show(foreman: Foreman, id: Id, json: AsJson = False) -> None:  # noqa: FBT002
    """Show everything about one worker.

    Example:  foreman show log_1
    """
    info = await foreman.info(id)
    if json:
        print_json(info)
        return
    last = "-" if info.last_exit is None else f"{info.last_exit.status} at {moment(info.last_exit.at)}: {info.last_exit.reason}"
    started = "-" if info.started_at is None else moment(info.started_at)
    lines = [
        ("id", info.id), ("kind", info.kind), ("name", info.name), ("state", info.state), ("health", str(info.health)),
        ("params", _json_text(info.params)), ("pid", str(info.pid or "-")), ("incarnation", info.incarnation or "-"),
        ("restarts", str(info.restarts)), ("started", started), ("directory", info.directory), ("endpoint", info.endpoint or "-"),
        *([("local endpoint", info.local_endpoint)] if info.local_endpoint else []),
        ("status", info.status_text or "-"), ("last exit", last),
    ]  # fmt: skip
    write("".join(line + "\n" for line in plain_table(*_headless(lines))))


def _json_text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _headless(lines: list[tuple[str, str]]) -> tuple[tuple[str, str], list[tuple[str, str]]]:
    return lines[0], lines[1:]


async def rm(
    foreman: Foreman,
    ids: Annotated[list[str], typer.Argument(help="The ids of the workers.", show_default=False, autocompletion=worker_ids)],
    timeout: Within = 30.0,
    json: AsJson = False,  # noqa: FBT002
) -> int:
    """Remove workers: stop them, delete their directories with all their data, forget them.

    Many are removed as one batch; one failure never spoils another.

    Examples:  foreman rm log_1  ·  foreman rm log_1 log_2 storage_1 --timeout 60
    """
    async with doing(f"removing {', '.join(ids)}"):
        results = await _removed(foreman, ids, timeout)
    if json:
        from foreman.api.wire import results_to_plain

        print_json(results_to_plain(results))
    for id, error in results.items():
        if error is not None:
            print(f"foreman: {one_line(str(error))}", file=sys.stderr)
        elif not json:
            print(f"{id} is removed")
    return max((exit_code_of(error) for error in results.values() if error is not None), default=0)


async def _removed(foreman: Foreman, ids: list[str], timeout: float) -> dict[str, ForemanError | None]:
    if len(ids) > 1:
        return await foreman.remove_workers(ids, timeout=timeout)
    await foreman.remove_worker(ids[0], timeout=timeout)
    return {ids[0]: None}


def exit_code_of(error: ForemanError) -> int:
    """1: it failed. 69: the node, or the directory, cannot be reached. 75: not done in time (sysexits.h: EX_UNAVAILABLE, EX_TEMPFAIL)."""
    return {"unavailable": 69, "directory_unavailable": 69, "timeout": 75}.get(error.code, 1)


async def restart(foreman: Foreman, id: Id, timeout: Within = 30.0) -> None:
    """Stop a worker and start it again; a worker that had been given up gets a clean history.

    Example:  foreman restart log_1
    """
    async with doing(f"restarting {id}"):
        await foreman.restart_worker(id, timeout=timeout)
    info = await foreman.info(id)
    print(f"{id} is healthy again, pid {info.pid}")


async def stop(foreman: Foreman, id: Id, timeout: Within = 30.0) -> None:
    """Stop a worker and keep it stopped, also over a restart of the node. Its data stays.

    Example:  foreman stop log_1
    """
    async with doing(f"stopping {id}"):
        await foreman.stop_worker(id, timeout=timeout)
    print(f"{id} is stopped (start it again: foreman start {id})")


async def start(foreman: Foreman, id: Id, timeout: Within = 30.0) -> None:
    """Start a worker that was stopped, has finished or was given up.

    Example:  foreman start log_1
    """
    async with doing(f"starting {id}"):
        await foreman.start_worker(id, timeout=timeout)
    print(f"{id} is healthy")
