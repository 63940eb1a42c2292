"""Real log workers, as the log's own tests start them."""

from tests.workers.log.conftest import home, new_worker

__all__ = ["home", "new_worker"]
