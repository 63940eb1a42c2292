"""Recovery: from whatever the last layout left to a new one that serves. One file a phase; ``table`` has their order."""
