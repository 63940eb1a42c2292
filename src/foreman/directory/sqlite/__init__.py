"""The directory of one machine, in one SQLite file, for any number of processes on it."""
