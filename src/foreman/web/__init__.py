"""The page for looking at a node."""
