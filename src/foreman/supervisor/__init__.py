"""The small parent of every worker: it forks, signals, reaps, hears readiness, copies output and reports. It decides nothing."""
