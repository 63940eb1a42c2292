"""What is managed: the contract of a kind, the host of a Python worker, and the built-in kinds."""
