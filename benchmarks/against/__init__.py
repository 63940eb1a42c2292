"""One file for each thing that is measured; all have the interface of benchmarks.peer."""
