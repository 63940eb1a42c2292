"""What can go wrong between the nodes of a cluster: a part of the tree in ``core/errors.py``, by which it is imported."""

from collections.abc import Sequence

from foreman.core.error_base import ForemanError

__all__ = ["AmbiguousNode", "ForeignGeneration", "NodeNotFound", "StaleGeneration"]


class NodeNotFound(ForemanError, code="node_not_found", status=404, fields=("node", "known")):
    """``known``: the nodes that the cluster's directory speaks of, each by its id, or as "name (id)"."""

    def __init__(self, node: str, known: Sequence[str]) -> None:
        super().__init__(node, known)
        self.node, self.known = node, tuple(known)

    def __str__(self) -> str:
        return f"the cluster knows no node {self.node[:80]!r}; it knows {', '.join(self.known) or 'none'} (see `foreman cluster status`)"


class AmbiguousNode(ForemanError, code="ambiguous_node", status=409, fields=("name", "ids")):
    """Several nodes of the cluster have the name by which one was meant."""

    def __init__(self, name: str, ids: Sequence[str]) -> None:
        super().__init__(name, ids)
        self.name, self.ids = name, tuple(ids)

    def __str__(self) -> str:
        return f"{len(self.ids)} nodes are called {self.name[:80]!r}; name one by its id: {', '.join(self.ids)}"


class StaleGeneration(ForemanError, code="stale_generation", status=409, fields=("epoch", "newest_epoch")):
    """A director's command, after a newer director has commanded this node."""

    def __init__(self, epoch: int, newest_epoch: int) -> None:
        super().__init__(epoch, newest_epoch)
        self.epoch, self.newest_epoch = epoch, newest_epoch

    def __str__(self) -> str:
        return f"the director of epoch {self.epoch} commands nothing here any more: this node has heard that of epoch {self.newest_epoch}"


class ForeignGeneration(ForemanError, code="foreign_generation", status=409, fields=("directory", "known", "workers")):
    """A director's command that rests on another directory than the one by which this node's ``workers`` were made."""

    def __init__(self, directory: str, known: str, workers: Sequence[str]) -> None:
        super().__init__(directory, known, workers)
        self.directory, self.known, self.workers = directory, known, tuple(workers)

    def __str__(self) -> str:
        shown = ", ".join(self.workers[:5]) + (f" and {len(self.workers) - 5} more" if len(self.workers) > 5 else "")
        return (
            f"this node keeps {shown} of a cluster whose directory was {self.known}, and the directory is {self.directory} now: it was "
            "emptied or replaced. Restore the old one, or give these workers' data up (`foreman rm`)"
        )
