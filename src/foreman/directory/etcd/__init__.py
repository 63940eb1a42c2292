"""The directory of a cluster: etcd, version 3.4 or later, through the generated stubs of aetcd on our own channels."""
