"""What a worker is given at its start: the node's [data_plane] beneath its own params, and only where its kind takes it."""

import json
from pathlib import Path
from typing import Any, Final

import pytest

from foreman.bootstrap.assembly import Node, NodePlan
from foreman.core.effects import StartWorker
from foreman.core.errors import InvalidConfiguration
from foreman.core.ids import Incarnation, parse_worker_id
from foreman.core.kinds import Kinds, KindSpec, PythonProgram
from foreman.node.configuration import load
from foreman.node.data_directory import open_data_directory
from foreman.node.launching import Launching, LaunchSettings
from foreman.workers.log.params import check_params

NODES: Final = {"listen": "10.0.0.5:0", "tls": {"certificate": "/a", "key": "/b", "client_ca": "/c"}}
OWN: Final = {"listen": "10.0.0.5:7001", "auth_file": "/secret"}


def given_params(folder: Path, params: dict[str, Any], *, listens: bool, node: dict[str, Any] = NODES) -> Any:
    spec = KindSpec("cache", PythonProgram("a:b"), listens=listens)
    data = open_data_directory(folder / "data", "demo")
    try:
        launching = Launching(data, lambda: Kinds([spec]), lambda: LaunchSettings(1 << 20, 0.0, node))
        request = launching.request(StartWorker(parse_worker_id("cache_1"), Incarnation("0" * 16), "cache", params))
        return json.loads(request.env["FOREMAN_PARAMS"])
    finally:
        data.close()


@pytest.mark.parametrize(
    ("params", "listens", "expected"),
    [
        ({"size": 1}, True, {"size": 1, **NODES}),
        ({"size": 1}, False, {"size": 1}),
        (OWN, True, OWN),  # all its own: half of each would be neither
        ({"link": {}}, True, {"link": {}, **NODES}),
    ],
)
def test_the_nodes_listen_lies_beneath_a_workers_own(tmp_path: Path, params: dict[str, Any], listens: bool, expected: object) -> None:  # noqa: FBT001
    assert given_params(tmp_path, params, listens=listens) == expected


def test_a_node_that_says_nothing_adds_nothing(tmp_path: Path) -> None:
    assert given_params(tmp_path, {"size": 1}, listens=True, node={}) == {"size": 1}


def test_what_the_node_gives_fits_the_built_in_kinds(tmp_path: Path) -> None:
    assert check_params(given_params(tmp_path, {}, listens=True)) == []


@pytest.mark.parametrize(("made", "said"), [((), "n.pem"), (("n.pem", "n.key", "ca.pem"), "n.pem"), (("pw",), "pw")])
async def test_files_that_workers_could_not_use_end_the_nodes_start(tmp_path: Path, made: tuple[str, ...], said: str) -> None:
    for name in made:
        (tmp_path / name).write_text("")
    security = 'auth_file = "pw"' if said == "pw" else 'tls = { cert = "n.pem", key = "n.key", client_ca = "ca.pem" }'
    (tmp_path / "foreman.toml").write_text(f'[data_plane]\nlisten = "127.0.0.1"\n{security}\n')
    with pytest.raises(InvalidConfiguration, match=said):
        await Node.start(NodePlan(load(folder=tmp_path), 1.0))
    assert not (tmp_path / "foreman-data").exists()
