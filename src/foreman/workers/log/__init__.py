"""The log worker: durable, ordered transactions, pushed in groups and pulled by version."""
