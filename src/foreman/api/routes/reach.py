"""What the routes can reach: the Foreman, the metrics, this life's name, and the sign that the node is closing.

Here a director's generation is checked: a route gets the Foreman after its body was read, so nothing lies between check and command.
"""

import asyncio
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from foreman.core.generations import HEADER, parse_generation
from foreman.core.interface import ForemanInterface
from foreman.node.generations import Generations
from foreman.node.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Reach:
    """``life``: a random name for this application's life, the first half of each event's id."""

    foreman: ForemanInterface
    metrics: Metrics
    life: str
    ending: asyncio.Event
    generations: Generations


async def _reach(request: Request) -> Reach:
    reach: Reach = request.app.state.reach
    return reach


async def _foreman(request: Request) -> ForemanInterface:
    reach: Reach = request.app.state.reach
    told = request.headers.get(HEADER)
    if told is not None:
        await reach.generations.admit(parse_generation(told), asks=request.method == "GET")
    return reach.foreman


Reached = Annotated[Reach, Depends(_reach)]
TheForeman = Annotated[ForemanInterface, Depends(_foreman)]
"""Both are coroutines, because FastAPI runs plain functions in a thread, which costs more than all the rest."""
