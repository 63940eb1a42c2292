"""What people call the nodes of a cluster: how each is shown, and which one somebody means by a name. Pure.

Records and sentences in the directory speak of nodes by id; names are put in where people read them. Nothing is ever decided by a name.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from foreman.control.cluster_view import ClusterView
from foreman.control.named import named_nodes
from foreman.core.errors import AmbiguousNode, NodeNotFound
from foreman.directory.records import MAX_STORY_NAMES, ClusterStoryLine

_ID_IN_TEXT: Final = re.compile(r"(?<![A-Za-z0-9_./-])[0-9a-f]{16}(?![A-Za-z0-9_/-]|\.[A-Za-z0-9_/-])", re.ASCII)
"""An id as every node makes its own (node/data_directory.py), where it is a word by itself and no part of a path."""


def counted_on(view: ClusterView) -> set[str]:
    """Nodes that something in the directory speaks of, whether they are there or not."""
    asked = {request.node for request in view.requests.values() if request.node}
    return asked | view.draining | named_nodes(view)


def known_nodes(view: ClusterView) -> set[str]:
    """Nodes that are there, or that something in the directory speaks of."""
    return set(view.nodes) | counted_on(view)


def name_of(id: str, view: ClusterView) -> str:
    """What the node calls itself, or did when it was last told of; "" when nobody knows."""
    return view.nodes[id].name if id in view.nodes else view.story.names.get(id, "")


def _names(view: ClusterView) -> dict[str, str]:
    every = known_nodes(view) | view.story.names.keys()
    return {id: name for id in sorted(every) if (name := name_of(id, view))}


def shown_nodes(view: ClusterView) -> Mapping[str, str]:
    """Id → how people are shown the node: its name, and the id beside it when that name could mean another one too.

    Nodes without a name are not in it.
    """
    names = _names(view)
    ids, counts = known_nodes(view) | names.keys(), Counter(names.values())
    return {id: name if counts[name] == 1 and name not in ids else f"{name} ({id})" for id, name in names.items()}


def introduced_nodes(view: ClusterView) -> Mapping[str, str]:
    """As :func:`shown_nodes`, with the id beside every name: where a node is looked up."""
    return {id: f"{name} ({id})" for id, name in _names(view).items()}


def with_names(text: str, shown: Mapping[str, str]) -> str:
    """The text with every node's id in it replaced by how the node is shown. A name is never looked at again."""
    return _ID_IN_TEXT.sub(lambda found: shown.get(found[0], found[0]), text) if shown else text


def meant_by(text: str, view: ClusterView) -> list[str]:
    """The ids of the nodes that somebody may mean: the one that has this id, else all that have this name."""
    known = known_nodes(view)
    return [text] if text in known else [id for id in sorted(known) if text and name_of(id, view) == text]


def node_meant(text: str, view: ClusterView) -> str:
    """The id of the one node that somebody means. Raises NodeNotFound, AmbiguousNode."""
    ids = meant_by(text, view)
    if not ids:
        introduced = introduced_nodes(view)
        raise NodeNotFound(text, [introduced.get(id, id) for id in sorted(known_nodes(view))])
    if len(ids) > 1:
        raise AmbiguousNode(text, ids)
    return ids[0]


def lasting_names(view: ClusterView, lines: Iterable[ClusterStoryLine]) -> dict[str, str]:
    """The names to keep when their nodes are gone: of those that the directory or the story speaks of; the first by id of too many."""
    told = {id for line in lines for text in (line.what, line.reason) for id in _ID_IN_TEXT.findall(text)}
    names = {id: name for id in sorted(counted_on(view) | told) if (name := name_of(id, view))}
    return dict(list(names.items())[:MAX_STORY_NAMES])
