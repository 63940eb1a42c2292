"""The same work on Foreman, on its peers and on the bare kernel, in one run. Measurements, never timed tests."""
