"""What etcd and gRPC say when something fails, sorted into what the port knows. A table, no I/O.

Source: etcd v3.4, etcdserver/api/v3rpc/rpctypes/error.go. A code alone says too little (INVALID_ARGUMENT is a wrong password, an old
token and a key given twice), so the sentence is read too; an unknown one is an outage that repeats it.
"""

import enum
from typing import Final

import grpc


class Failure(enum.Enum):
    AWAY = "nobody answered; a write may or may not have happened"
    NOT_SENT = "nobody answered, and nothing was done"
    TOKEN = "the token is not, or no longer, valid; nothing was done"  # noqa: S105 - a sentence
    COMPACTED = "the revision is compacted"
    FUTURE = "the revision has not been"
    NO_LEASE = "there is no such lease"
    INVALID = "the request is one that etcd does not do"
    REFUSED = "etcd answers, and will not: credentials, permissions, quota"


_Code: Final = grpc.StatusCode
_TABLE: Final[tuple[tuple[grpc.StatusCode, str, Failure], ...]] = (
    (_Code.OUT_OF_RANGE, "has been compacted", Failure.COMPACTED),
    (_Code.OUT_OF_RANGE, "future revision", Failure.FUTURE),
    (_Code.NOT_FOUND, "lease not found", Failure.NO_LEASE),
    (_Code.UNAUTHENTICATED, "invalid auth token", Failure.TOKEN),
    (_Code.INVALID_ARGUMENT, "revision of auth store is old", Failure.TOKEN),
    (_Code.INVALID_ARGUMENT, "user name is empty", Failure.TOKEN),
    (_Code.INVALID_ARGUMENT, "authentication failed", Failure.REFUSED),
    (_Code.INVALID_ARGUMENT, "", Failure.INVALID),
    (_Code.PERMISSION_DENIED, "", Failure.REFUSED),
    (_Code.FAILED_PRECONDITION, "", Failure.REFUSED),
    (_Code.RESOURCE_EXHAUSTED, "", Failure.REFUSED),
    (_Code.UNAVAILABLE, "failed to connect to all addresses", Failure.NOT_SENT),
    (_Code.UNAVAILABLE, "etcdserver: no leader", Failure.NOT_SENT),
    (_Code.UNAVAILABLE, "not supported for learner", Failure.NOT_SENT),
)


def failure_of(code: grpc.StatusCode, sentence: str) -> Failure:
    """The first row that fits; AWAY when none does."""
    return next((failure for row, part, failure in _TABLE if row is code and part in sentence), Failure.AWAY)
