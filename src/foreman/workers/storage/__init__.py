"""The storage worker: follows logs into an ordered key-value store and serves reads at a version."""
