"""What a run found: a cell for each contender and workload, with ratios taken where both sides met the same machine.

Rates are medians over the rounds. A ratio is taken within each round, in the same minute, and then their median. Data only: read
`bench/report.py`, `bench/goals.py` and `bench/picture.py` for what becomes of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from operator import attrgetter
from statistics import median

from bench.contenders import BASELINE, Contender
from bench.load import Sample
from bench.workloads import Workload

__all__ = ["Cell", "Run"]


@dataclass(slots=True)
class Cell:
    """What one contender did on one workload: a sample of each round, or what went wrong."""

    samples: dict[int, Sample] = field(default_factory=dict)
    fault: str | None = None

    @property
    def rate_per_s(self) -> float | None:
        """The median over all rounds, or None without a sample or after a fault."""
        if self.fault is not None or not self.samples:
            return None
        return median(sample.rate_per_s for sample in self.samples.values())

    @property
    def spread(self) -> float:
        """Fastest minus slowest round, as a share of the median."""
        rates = [sample.rate_per_s for sample in self.samples.values()]
        return (max(rates) - min(rates)) / median(rates)


@dataclass(slots=True)
class Run:
    """Everything about one run of the benchmark.

    Args:
        contenders: in the order of the table.
        workloads: in the order of the table.
        rounds: how often everything was measured.
        seconds: length of one measurement.
        command: what a person types for the same run.
        cores: of the servers and of the load.
        versions: package versions by contender.
        cells: by contender and workload.
    """

    contenders: list[Contender]
    workloads: list[Workload]
    rounds: int
    seconds: float
    command: str
    cores: tuple[int, int]
    versions: dict[str, dict[str, str]] = field(default_factory=dict)
    cells: dict[tuple[str, str], Cell] = field(default_factory=dict)
    started: datetime = field(default_factory=lambda: datetime.now(UTC))

    def ratio(
        self,
        contender: str,
        workload: str,
        pick: Callable[[Sample], float] = attrgetter("rate_per_s"),
        to: str = BASELINE,
    ) -> float | None:
        """The median over the rounds of a figure divided by another contender's, None unless both were measured in a same round."""
        cell, base = self.cells.get((contender, workload)), self.cells.get((to, workload))
        if cell is None or base is None or cell.rate_per_s is None or base.rate_per_s is None:
            return None
        common = cell.samples.keys() & base.samples.keys()
        return median(pick(cell.samples[number]) / pick(base.samples[number]) for number in common) if common else None

    @property
    def failed(self) -> bool:
        """Whether something that must work did not. The fault of a peer or a control is a result, and shown as one."""
        must_work = {contender.name for contender in self.contenders if contender.must_work}
        return any(cell.fault for (contender, _), cell in self.cells.items() if contender in must_work)

    def toughest_peer(self, workload: str) -> Contender | None:
        """The fastest framework beside Tercel and the baseline; servers without a framework are none."""
        peers = [contender for contender in self.contenders if contender.kind == "peer" and contender.name != BASELINE]
        measured = [(ratio, peer.name, peer) for peer in peers if (ratio := self.ratio(peer.name, workload)) is not None]
        return max(measured)[2] if measured else None
