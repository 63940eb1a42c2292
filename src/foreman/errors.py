"""The public name of the error tree: ``from foreman.errors import WorkerNotFound``."""

from foreman.core.data_errors import *  # noqa: F403
from foreman.core.errors import *  # noqa: F403
