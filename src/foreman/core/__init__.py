"""Pure decisions: what the Foreman knows and decides, with no clock, disk, socket, logging or randomness."""
