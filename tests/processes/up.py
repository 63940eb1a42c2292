"""``run_node`` in a process of its own: what `foreman up` does, with the kinds of these tests.

    python -m tests.processes.up DATA CONFIG

One line on stdout when it listens: a JSON array of its addresses.
"""

import asyncio
import json
import sys
from pathlib import Path

from foreman.bootstrap import run_node
from foreman.bootstrap.logs import configure_logs
from foreman.node.configuration import Configuration, load
from tests.processes.node_process import plan


def read(data: Path, config: Path) -> Configuration:
    return load(file=config, flags={"node.data": str(data), "node.cluster": "test"})


def main(data: Path, config: Path) -> int:
    configure_logs("error")
    return asyncio.run(
        run_node(
            read(data, config),
            on_listening=lambda _node, addresses: print(json.dumps(addresses), flush=True),
            read_again=lambda: read(data, config),
            plan=plan(data, serve=True),
        )
    )


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
