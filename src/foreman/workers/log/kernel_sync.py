"""fdatasync without a thread: the kernel does it and says when it is done (Linux AIO, io_submit(2) with IOCB_CMD_FDSYNC).

A thread that waits for the disk must get Python's lock back before it can say that it is done, while the loop holds it; with some
thousand groups a second that costs more than the disk does. Here the loop hands over a descriptor and is woken through an eventfd.
What a result means is the same: 0, or the error that fdatasync would have had.

Owns the kernel's context and the eventfd. One at a time. Where the kernel or its sandbox has none of this, :meth:`KernelSync.open` is
None and a thread does it.
"""

import asyncio
import ctypes
import errno
import os
import platform
import struct
from collections.abc import Callable
from typing import Final

_CALLS: Final = {"x86_64": (206, 207, 208, 209), "aarch64": (0, 1, 4, 2), "riscv64": (0, 1, 4, 2)}
"""io_setup, io_destroy, io_getevents, io_submit; the C library has no functions for them."""

_IOCB: Final = struct.Struct("=QIIHhIQQqQII")
"""linux/aio_abi.h: data, key, flags of a write, opcode, priority, descriptor, buffer, size, offset, reserved, flags, eventfd."""

_EVENT: Final = struct.Struct("=QQqq")
_ONE: Final = ctypes.c_long(1)
_FDSYNC: Final = 3
_FLAG_RESFD: Final = 1


class KernelSync:
    """Made by :meth:`open`."""

    def __init__(self, context: ctypes.c_ulong, calls: tuple[int, int, int, int]) -> None:
        _, self._destroy, self._getevents, self._submit = calls
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._wakes = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._loop.add_reader(self._wakes, self._woken)
        self._request = ctypes.create_string_buffer(_IOCB.size)
        self._requests = (ctypes.c_void_p * 1)(ctypes.addressof(self._request))
        self._event = ctypes.create_string_buffer(_EVENT.size)
        self._done: Callable[[int], None] | None = None
        """Who waits for the sync that is under way."""

    @classmethod
    def open(cls) -> "KernelSync | None":
        calls = _CALLS.get(platform.machine())
        context = ctypes.c_ulong(0)
        if calls is None or _syscall(calls[0], _ONE, ctypes.byref(context)) < 0:
            return None
        return cls(context, calls)

    def begin(self, descriptor: int, done: Callable[[int], None]) -> bool:
        """Make what was written to ``descriptor`` durable, then call ``done`` with 0 or an errno. False: not now, nothing was begun."""
        _IOCB.pack_into(self._request, 0, 0, 0, 0, _FDSYNC, 0, descriptor, 0, 0, 0, 0, _FLAG_RESFD, self._wakes)
        if _syscall(self._submit, self._context, _ONE, self._requests) != 1:
            return False
        self._done = done
        return True

    def _woken(self) -> None:
        os.eventfd_read(self._wakes)
        done, self._done = self._done, None
        if done is not None:
            done(self._result())

    def _result(self) -> int:
        """0 or an errno. It is there: the eventfd said so."""
        while _syscall(self._getevents, self._context, _ONE, _ONE, self._event, None) != 1:
            if (number := ctypes.get_errno()) != errno.EINTR:
                return number or errno.EIO
        result: int = _EVENT.unpack_from(self._event)[2]
        return -result

    def close(self) -> None:
        self._loop.remove_reader(self._wakes)
        _syscall(self._destroy, self._context)  # waits for a sync that is under way
        os.close(self._wakes)


_syscall: Final = ctypes.PyDLL(None, use_errno=True).syscall
_syscall.restype = ctypes.c_long
