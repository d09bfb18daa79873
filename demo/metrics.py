"""Numbers about the running application, in one plain object that the features count into and `/internal/metrics/` reads."""

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Annotated

from tercel import Depends
from tercel.requests import HTTPConnection

__all__ = ["Metrics", "MetricsDep"]


@dataclass(slots=True)
class Metrics:
    """Counters since the start. One event loop runs all of the code that changes them, so they need no lock."""

    started_at: float = field(default_factory=time.monotonic)
    requests: Counter[str] = field(default_factory=Counter)  # by class of status: "2xx", "4xx" …
    mails_sent: int = 0
    mails_failed: int = 0
    generations_running: int = 0
    generations_finished: int = 0
    generations_abandoned: int = 0  # stopped because the client went away

    @property
    def uptime_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started_at


async def get_metrics(connection: HTTPConnection) -> Metrics:
    """The application's counters. `connection.app` is the application that answers, which may be a mounted one."""
    metrics: Metrics = connection.app.state.metrics
    return metrics


MetricsDep = Annotated[Metrics, Depends(get_metrics)]
