"""A whole cluster in one process and in no time: the real coordinators, directors and gateways over a simulated world, by seed."""
