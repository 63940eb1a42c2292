"""The service directory: who is there, what runs where, what the cluster should be. One port, two engines."""
