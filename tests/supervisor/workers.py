"""Workers of every character, called by the supervisor under test. Each is a function without arguments."""

import ctypes
import json
import os
import random
import resource
import signal
import socket
import sys
import time
from pathlib import Path


def params() -> dict[str, object]:
    loaded: dict[str, object] = json.loads(os.environ.get("FOREMAN_PARAMS", "{}"))
    return loaded


def notify(*lines: str, fds: tuple[int, ...] = ()) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as peer:
        peer.connect(os.environ["NOTIFY_SOCKET"])
        socket.send_fds(peer, ["\n".join(lines).encode()], list(fds))


def forever() -> None:
    while True:
        signal.pause()


def ready() -> None:
    notify("READY=1", "STATUS=at work", "X_FOREMAN_ENDPOINT=unix:/nowhere", "X_FOREMAN_HEALTH=ok")
    forever()


def exits_0() -> None:
    return


def exits_7() -> None:
    sys.exit(7)


def raises() -> None:
    raise RuntimeError("on purpose")


def ends_itself() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    forever()


def ignores_term() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ready()


def tells_facts() -> None:
    """Writes what it sees of itself into facts.json, then is ready."""
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    dispositions = {s.name: str(signal.getsignal(s)) for s in signal.Signals if signal.getsignal(s) not in {signal.SIG_DFL, None}}
    umask = os.umask(0)
    death = ctypes.c_int()
    ctypes.CDLL(None).prctl(2, ctypes.byref(death))
    facts = {
        "env": dict(os.environ),
        "environ": sorted(Path("/proc/self/environ").read_bytes().decode().strip("\0").split("\0")),
        "fds": {fd: os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}")},
        "cwd": str(Path.cwd()),
        "umask": umask,
        "blocked": [int(s) for s in blocked],
        "dispositions": dispositions,
        "session": os.getsid(0),
        "group": os.getpgrp(),
        "pid": os.getpid(),
        "parent_death": death.value,
        "comm": Path("/proc/self/comm").read_text().strip(),
        "cmdline": Path("/proc/self/cmdline").read_bytes().decode().strip("\0"),
        "limits": {
            name: resource.getrlimit(getattr(resource, name)) for name in ("RLIMIT_NOFILE", "RLIMIT_DATA", "RLIMIT_CORE", "RLIMIT_NPROC")
        },
        "random": random.random(),
        "argv": sys.argv,
    }
    Path("facts.json").write_text(json.dumps(facts))
    ready()


def tells_user() -> None:
    death = ctypes.c_int()
    ctypes.CDLL(None).prctl(2, ctypes.byref(death))
    Path("facts.json").write_text(json.dumps({"ids": [*os.getresuid(), *os.getresgid()], "parent_death": death.value}))
    ready()


def fork_away(depth: int, *, session: bool, ignore_term: bool, bare: bool = False) -> None:
    """One more process, ``depth`` generations down, in its own session if wanted, writing its pid into pids/."""
    if os.fork() != 0:
        return
    if session:
        os.setsid()
    if depth:
        fork_away(depth - 1, session=session, ignore_term=ignore_term, bare=bare)
        os._exit(0)
    if ignore_term:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Path("pids").mkdir(exist_ok=True)
    if bare:  # hides every sign: no lock, no environment
        Path(f"pids/{os.getpid()}.tmp").touch()
        Path(f"pids/{os.getpid()}.tmp").rename(f"pids/{os.getpid()}")
        os.closerange(0, 64)
        os.execve("/bin/sleep", ["sleep", "600"], {})
    Path(f"pids/{os.getpid()}").touch()
    forever()


def grandchildren() -> None:
    """50 of them: in the group, in sessions of their own, orphaned, deaf to TERM, hidden."""
    for number in range(50):
        fork_away(number % 3, session=number % 2 == 0, ignore_term=number % 5 == 0, bare=number % 7 == 0)
    while len([name for name in os.listdir("pids") if name.isdecimal()] if Path("pids").exists() else []) < 50:
        time.sleep(0.005)
    ready()


def keeps_strays() -> None:
    for depth in range(4):
        fork_away(depth, session=True, ignore_term=False)
    while not Path("pids").exists() or len(os.listdir("pids")) < 4:
        time.sleep(0.005)
    ready()


def stray_then_exit() -> None:
    fork_away(1, session=True, ignore_term=True, bare=bool(params().get("bare")))
    while not Path("pids").exists() or not any(name.isdecimal() for name in os.listdir("pids")):
        time.sleep(0.005)
    sys.exit(3)


def says_twice() -> None:
    signal.signal(signal.SIGUSR1, lambda *_: notify("READY=1", "STATUS=two", "X_FOREMAN_HEALTH=ok"))
    notify("READY=1", "STATUS=one", "X_FOREMAN_HEALTH=ok")
    forever()


def watched_then_silent() -> None:
    signal.signal(signal.SIGUSR1, lambda *_: notify("WATCHDOG=1"))
    notify("READY=1", "WATCHDOG=1")
    forever()


def says_it_hangs() -> None:
    notify("READY=1")
    notify("WATCHDOG=trigger")
    forever()


def watched() -> None:
    notify("READY=1")
    while True:
        notify("WATCHDOG=1")
        time.sleep(0.02)


def extends() -> None:
    notify("READY=1", "EXTEND_TIMEOUT_USEC=60000000")
    forever()


def floods_notify() -> None:
    notify("READY=1")
    number = 0
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as peer:
        peer.connect(os.environ["NOTIFY_SOCKET"])
        while True:
            number += 1
            peer.send(f"STATUS=number {number}".encode())


def writes() -> None:
    """``bytes`` of numbered lines, then ready."""
    total, written, number = int(str(params()["bytes"])), 0, 0
    while written < total:
        written += os.write(1, f"{number:08d} {'x' * 90}\n".encode())
        number += 1
    notify("READY=1")
    forever()


def floods_output() -> None:
    notify("READY=1")
    while True:
        os.write(1, b"x" * 65_536)


def says_hello() -> None:
    print("to stdout")
    print("to stderr", file=sys.stderr)
    sys.stdout.write("no newline")


def barrier() -> None:
    """sd_notify_barrier(3): the end of the pipe comes when the other side has closed its copy."""
    ours, its = os.pipe()
    notify("STATUS=before")
    notify("BARRIER=1", fds=(its,))
    os.close(its)
    assert os.read(ours, 1) == b""
    notify("READY=1")
    forever()


def sends_rubbish() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as peer:
        peer.connect(os.environ["NOTIFY_SOCKET"])
        for datagram in (b"", b"\0\xff\xfe", b"READY", b"=1", b"ERRNO=x\nEXTEND_TIMEOUT_USEC=-1\nX_FOREMAN_HEALTH=fine", b"A" * 20_000):
            peer.send(datagram)
        peer.send(b"STATUS=" + b"s" * 5_000 + b"\nERRNO=5\nSTOPPING=0\nX_FOREMAN_ENDPOINT=\x01\nX_FOREMAN_HEALTH=error:bad\x07")
    ready()
