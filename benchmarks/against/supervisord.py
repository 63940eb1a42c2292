"""supervisord (PyPI supervisor): programs in included files, commands over its XML-RPC socket."""

import http.client
import os
import shlex
import socket
import subprocess
import time
import xmlrpc.client
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.peer import Peer, Setup

CONFIGURATION = """[supervisord]
logfile={folder}/supervisord.log
pidfile={folder}/supervisord.pid
childlogdir={folder}
nodaemon=true
[unix_http_server]
file={folder}/sock
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[include]
files={folder}/programs/*.conf
"""


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.connect(self._path)
        return connection


class Supervisord(Peer):
    name = "supervisord"
    title = "supervisord"

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self._process: subprocess.Popen[bytes] | None = None
        self._programs = setup.folder / "programs"

    @classmethod
    def version(cls, peers: Path) -> str | None:
        program = peers / "python/bin/supervisord"
        return subprocess.check_output([program, "--version"], text=True).strip() if program.exists() else None

    def start_manager(self) -> None:
        folder = self.setup.folder
        self._programs.mkdir(exist_ok=True)
        (folder / "supervisord.conf").write_text(CONFIGURATION.format(folder=folder), encoding="utf-8")
        program = str(self.setup.peers / "python/bin/supervisord")
        self._process = subprocess.Popen(
            [program, "-c", str(folder / "supervisord.conf")], stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
        )
        self._rpc = xmlrpc.client.ServerProxy("http://localhost", _UnixTransport(str(folder / "sock"))).supervisor
        deadline = time.monotonic() + 20
        while True:
            try:
                self._rpc.getState()
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def create(self, names: Sequence[str]) -> None:
        for name in names:
            command = shlex.join(self.setup.argv(name))
            (self._programs / f"{name}.conf").write_text(f"[program:{name}]\ncommand={command}\nautorestart=true\n", encoding="utf-8")
        self._rpc.reloadConfig()
        for name in names:
            self._rpc.addProcessGroup(name)

    def list_running(self) -> int:
        every: Any = self._rpc.getAllProcessInfo()
        return sum(1 for process in every if process["statename"] in {"RUNNING", "STARTING"})

    def remove(self, names: Sequence[str]) -> None:
        if len(names) > 1:
            self._rpc.stopAllProcesses()
        for name in names:
            if len(names) == 1:
                self._rpc.stopProcess(name)
            self._rpc.removeProcessGroup(name)
            (self._programs / f"{name}.conf").unlink()

    def manager_pids(self) -> list[int]:
        assert self._process is not None
        return [self._process.pid]

    def start_again(self, death: str) -> None:
        self._wait()
        self.start_manager()

    def close(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._wait()

    def _wait(self) -> None:
        assert self._process is not None
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.kill(self._process.pid, 9)
            self._process.wait()
