"""Measurements against their targets."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

Statistic = Literal["p50", "p95", "p99", "value"]


def percentile(values: Sequence[float], percent: float) -> float | None:
    """Linear between neighbours; None of nothing."""
    return float(np.percentile(values, percent)) if values else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """`values` are samples whose p50, p95 and p99 are told, or the one `value` of a share or a total over `n` cases. `targets`: the
    most that each statistic may be."""

    name: str
    unit: str
    n: int
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    value: float | None = None
    targets: dict[Statistic, float] = field(default_factory=dict)
    note: str = ""

    @property
    def passed(self) -> bool | None:
        """None without a target. A statistic that could not be measured has missed its target."""
        if not self.targets:
            return None
        measured = {"p50": self.p50, "p95": self.p95, "p99": self.p99, "value": self.value}
        found = [(measured[statistic], limit) for statistic, limit in self.targets.items()]
        return all(value is not None and value <= limit for value, limit in found)


def distribution(
    name: str, unit: str, values: Sequence[float], *, targets: dict[Statistic, float] | None = None, note: str = ""
) -> Figure:
    return Figure(
        name=name,
        unit=unit,
        n=len(values),
        p50=percentile(values, 50),
        p95=percentile(values, 95),
        p99=percentile(values, 99),
        targets=targets or {},
        note=note,
    )


def total(name: str, unit: str, value: float | None, n: int, *, at_most: float | None = None, note: str = "") -> Figure:
    targets: dict[Statistic, float] = {} if at_most is None else {"value": at_most}
    return Figure(name=name, unit=unit, n=n, value=value, targets=targets, note=note)


def share(name: str, cases: int, of: int, *, at_most: float | None = None, note: str = "") -> Figure:
    """Percent."""
    return total(name, "%", 100.0 * cases / of if of else None, of, at_most=at_most, note=note)
