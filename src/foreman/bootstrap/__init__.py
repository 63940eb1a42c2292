"""The composition root: the only place that names concrete parts together.

``Foreman.open`` makes this program a node, ``Foreman.connect`` reaches one that runs, ``run_node`` is ``foreman up``. ``assembly`` puts a
node's parts together and takes them apart again, ``door`` opens the HTTP API when somebody knocks, ``logs`` says where logs go.
"""

from foreman.bootstrap.daemon import run_node
from foreman.bootstrap.entry import Foreman

__all__ = ["Foreman", "run_node"]
