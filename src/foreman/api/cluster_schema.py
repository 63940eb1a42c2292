"""What a request about the whole cluster may say. Bounds that the directory's records have are theirs to check."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from foreman.api.schema import NewWorkerItem, Timeout
from foreman.core.cluster import DEFAULT_NEW_TIMEOUT_S

Base64 = Annotated[str, Field(max_length=2_000)]


class Wish(BaseModel):
    """What the cluster should be. The first time `logs` and `storage_replicas` are both needed."""

    model_config = ConfigDict(extra="forbid", strict=True)

    logs: int | None = Field(default=None, ge=1, le=10_000, description="How many logs; each has every transaction.")
    storage_replicas: int | None = Field(default=None, ge=1, le=10_000, description="Storage workers in each team.")
    splits: list[Base64] | None = Field(default=None, max_length=9_999, description="Keys, in base64, at which the key space is cut.")
    replace_after_s: float | None = Field(
        default=None, ge=0, le=30 * 86_400, allow_inf_nan=False, description="After which a storage worker that is away is given up."
    )


class NewClusterWorker(NewWorkerItem):
    """A worker to make somewhere, and how long to wait until it is healthy."""

    timeout: Timeout = DEFAULT_NEW_TIMEOUT_S


class ClusterEventsQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    after: int | None = Field(default=None, ge=0, le=2**53, description="Go on after the event that told this as its `after`.")


class RemoveClusterWorkerQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    timeout: Timeout = DEFAULT_NEW_TIMEOUT_S
