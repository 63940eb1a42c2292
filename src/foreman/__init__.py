"""Foreman keeps stateful services alive: it creates, watches and removes the log and storage workers of one node.

The public names are loaded when first used, so that ``import foreman`` costs nothing: the worker supervisor, which must stay
small and single-threaded, is part of this package too.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from foreman.bootstrap import Foreman as Foreman
    from foreman.core.health import Health as Health
    from foreman.core.views import HealthChanged as HealthChanged
    from foreman.core.views import ServiceInfo as ServiceInfo
    from foreman.core.views import StoryLine as StoryLine
    from foreman.core.views import WorkerChanged as WorkerChanged
    from foreman.core.views import WorkerInfo as WorkerInfo
    from foreman.core.views import WorkerRef as WorkerRef
    from foreman.core.views import WorkerRemoved as WorkerRemoved

__version__ = "0.1.0"

_PUBLIC: Final = {
    "Foreman": "foreman.bootstrap",
    "Health": "foreman.core.health",
    "HealthChanged": "foreman.core.views",
    "ServiceInfo": "foreman.core.views",
    "StoryLine": "foreman.core.views",
    "WorkerChanged": "foreman.core.views",
    "WorkerInfo": "foreman.core.views",
    "WorkerRef": "foreman.core.views",
    "WorkerRemoved": "foreman.core.views",
    "ClusterClient": "foreman.workers.clients",
    "LogClient": "foreman.workers.clients",
    "LogSet": "foreman.workers.clients",
    "StorageClient": "foreman.workers.clients",
    "Set": "foreman.core.mutations",
    "Clear": "foreman.core.mutations",
    "ClearRange": "foreman.core.mutations",
}

__all__ = sorted(_PUBLIC)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'foreman' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
