"""The routes, one file for each thing they are about: workers, the node, and what streams."""
