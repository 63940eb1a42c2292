"""The service directory: the port, and SQLite and etcd behind it."""
