"""What a node is told by its operator: foreman.toml, then FOREMAN_* in the environment, then flags; the last wins.

``keys`` is the one table of what can be said, with type, unit, default and a sentence for each; ``load`` reads the three layers
and reports everything that is wrong at once; ``kinds`` reads [kinds.*]; ``changes`` says what a reload can apply. Never opens
anything but the file it is given, and never starts anything.
"""

from foreman.node.configuration.changes import Changes, changes
from foreman.node.configuration.load import load
from foreman.node.configuration.sections import (
    Configuration,
    DataPlaneSection,
    DirectorySection,
    DiskSection,
    NodeSection,
    SupervisionSection,
    Tls,
)

__all__ = [
    "Changes",
    "Configuration",
    "DataPlaneSection",
    "DirectorySection",
    "DiskSection",
    "NodeSection",
    "SupervisionSection",
    "Tls",
    "changes",
    "load",
]
