"""The cluster: coordinator, director and recovery."""
