"""What the Linux kernel gives: clocks, durable files, locks, processes.

It knows no word of the domain and uses the standard library alone, so that the small supervisor can build on it.
"""
