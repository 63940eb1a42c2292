"""What ends a director's work from outside."""


class Deposed(Exception):
    """The lease is lost, or may be by now: this director commands nothing any more.

    No ForemanError, so that nothing which goes on after the failure of a worker or a node goes on after this.
    """

    def __init__(self, epoch: int) -> None:
        super().__init__(f"the director of epoch {epoch} does not lead any more")
        self.epoch = epoch
