"""The directory of a cluster: etcd, version 3.4 or later, through the generated stubs of aetcd on our own channels."""

import os

# Before gRPC is loaded: its handlers around fork() are for children that go on to use gRPC. Ours are programs to execute, and the
# handlers crashed one in two of those started with another user (SIGSEGV between fork and exec; grpcio 1.85).
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
