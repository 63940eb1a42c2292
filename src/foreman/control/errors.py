"""What ends a director's work from outside. No ForemanErrors: what goes on after the failure of a worker or a node must not after these."""


class Deposed(Exception):
    """The lease is lost, or may be by now: this director commands nothing any more."""

    def __init__(self, epoch: int) -> None:
        super().__init__(f"the director of epoch {epoch} does not lead any more")
        self.epoch = epoch


class Overtaken(Exception):
    """A node has heard a newer director, of ``epoch``: only one of a still higher epoch is listened to."""

    def __init__(self, epoch: int) -> None:
        super().__init__(f"a node has heard a director of epoch {epoch}")
        self.epoch = epoch
