"""Typed asyncio clients of log and storage workers, on redis-py. Loaded when first used, each by itself."""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from foreman.workers.clients.cluster_client import ClusterClient as ClusterClient
    from foreman.workers.clients.log_client import LogClient as LogClient
    from foreman.workers.clients.log_client import LogLocked as LogLocked
    from foreman.workers.clients.log_set import LogSet as LogSet
    from foreman.workers.clients.storage_client import StorageClient as StorageClient

_HOME: Final = {
    "ClusterClient": "foreman.workers.clients.cluster_client",
    "LogClient": "foreman.workers.clients.log_client",
    "LogLocked": "foreman.workers.clients.log_client",
    "LogSet": "foreman.workers.clients.log_set",
    "StorageClient": "foreman.workers.clients.storage_client",
}

__all__ = sorted(_HOME)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
