"""What a request may say: pydantic models that reject what they do not know, and the problem as OpenAPI shows it.

Ids, kinds and params are only typed here; what they must look like is decided once, by the Foreman itself, with its own errors.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from foreman.core.interface import DEFAULT_BATCH_TIMEOUT_S, DEFAULT_NEW_TIMEOUT_S, DEFAULT_REMOVE_TIMEOUT_S, DEFAULT_WAIT_TIMEOUT_S

MAX_BODY_BYTES = 1 << 20
MAX_BATCH = 10_000

Timeout = Annotated[
    float, Field(gt=0, le=86_400, allow_inf_nan=False, description="Seconds until the answer is `timeout`; the work goes on.")
]
Text = Annotated[str, Field(max_length=1_000)]
Id = Annotated[str, Field(max_length=1_000, json_schema_extra={"pattern": r"^[a-z0-9][a-z0-9_-]{0,62}$", "maxLength": 63})]
"""Documented as what it must be; what it is not is told by the Foreman itself, as ``invalid_worker_id``."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class NewWorkerItem(_Strict):
    """One worker to create."""

    id: Id = Field(examples=["log_1"])
    kind: Text = Field(examples=["log"])
    params: dict[str, Any] = Field(default_factory=dict)


class NewWorker(NewWorkerItem):
    """A worker to create, and how long to wait until it is healthy."""

    timeout: Timeout = DEFAULT_NEW_TIMEOUT_S


class NewWorkers(_Strict):
    """Workers to create, all or none."""

    workers: list[NewWorkerItem] = Field(max_length=MAX_BATCH)
    timeout: Timeout = DEFAULT_BATCH_TIMEOUT_S


class RemoveWorkers(_Strict):
    """Workers to remove, each with its own result."""

    ids: list[Id] = Field(max_length=MAX_BATCH)
    timeout: Timeout = DEFAULT_REMOVE_TIMEOUT_S


class HealthReport(_Strict):
    """A worker's health as it, or somebody for it, sees it."""

    status: Literal["ok", "error"]
    reason: Text | None = Field(default=None, description="Why, when the status is `error`.")


class WithinStart(_Strict):
    """How long to wait until the worker is healthy."""

    timeout: Timeout = DEFAULT_NEW_TIMEOUT_S


class WithinStop(_Strict):
    """How long to wait until the worker is gone."""

    timeout: Timeout = DEFAULT_REMOVE_TIMEOUT_S


class WithinWait(_Strict):
    """How long to wait until every worker is healthy."""

    timeout: Timeout = DEFAULT_WAIT_TIMEOUT_S


class _Query(BaseModel):
    """Query parameters come as text, so they are not strict; unknown ones are refused all the same."""

    model_config = ConfigDict(extra="forbid")


class KindQuery(_Query):
    kind: Text | None = Field(default=None, description="Only workers of this kind.")


class RemoveQuery(_Query):
    timeout: Timeout = DEFAULT_REMOVE_TIMEOUT_S


class OutputQuery(_Query):
    follow: bool = Field(default=False, description="Go on with what is written from now on.")


class EventsQuery(_Query):
    after: int | None = Field(default=None, ge=0, le=2**53, description="Begin after the event with this number, as far back as is kept.")


class Problem(BaseModel):
    """An error (RFC 9457). Beside these members stand the facts of the error, named as in its class."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["urn:foreman:error:worker_not_found"])
    title: str = Field(examples=["Worker not found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["there is no worker log_1 on this node (see `foreman ls`)"])
    code: str = Field(examples=["worker_not_found"])


class WorkerHealth(BaseModel):
    status: str
    reason: str | None


class NodeHealth(BaseModel):
    """The aggregate health, and each worker's own."""

    status: str
    reason: str | None
    workers: dict[str, WorkerHealth]
