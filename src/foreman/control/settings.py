"""How long a director waits for what. Seconds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ControlSettings:
    """``lock_timeout_s``: for workers of the old layout to answer; the recovery goes on with those that did.

    ``command_timeout_s``: for one command to a foreman or a worker. ``recruit_timeout_s``: for a new worker to be healthy.
    ``appear_timeout_s``: for the new logs to be registered. ``settle_s``: how long a new node must be there before workers are moved to
    it. ``again_s``: after a fault that may pass, doubled up to ``again_cap_s``. ``avoid_s``: how long a node that did not answer is not
    asked again while others can be. ``look_s``: how often the progress of workers that are being filled is asked.
    ``regroup_s``: how long most of the layout's nodes are waited for when they are away all at once.
    """

    lease_s: float = 10.0
    lock_timeout_s: float = 2.0
    command_timeout_s: float = 5.0
    recruit_timeout_s: float = 20.0
    replay_timeout_s: float = 600.0
    appear_timeout_s: float = 10.0
    settle_s: float = 5.0
    again_s: float = 0.25
    again_cap_s: float = 5.0
    avoid_s: float = 10.0
    look_s: float = 0.25
    regroup_s: float = 2.0
