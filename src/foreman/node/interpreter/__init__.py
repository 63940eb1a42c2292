"""Effects made real: each effect of the machine is done here, and its answer put back into the inbox as an event."""
