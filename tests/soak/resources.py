"""What a worker takes of its machine: this file samples it, and says whether it grows."""

from __future__ import annotations

import os
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass

LAG_SECONDS_MAX = 0.05
RSS_SLOPE_MIB_MAX = 1.0
"""In ten minutes."""
JUDGED_SECONDS_MIN = 600.0
"""What grows cannot be told from what warms up in less than that."""
FILES_GROWTH_MAX = 3
LOOKS_MIN = 300
"""In fewer than that, the hundredth part that may be late is hardly one."""

_LAG = "poller_loop_lag_seconds"


@dataclass(frozen=True, slots=True)
class Sample:
    """``rss_mib``, open ``files`` and ``threads`` at a moment; how often the loop was looked at, and how often late."""

    at: float
    rss_mib: float
    files: int
    threads: int
    looks: int
    late: int


def sample(process: int, url: str) -> Sample:
    """Raises `OSError` if the process has ended or does not answer."""
    with open(f"/proc/{process}/status") as file:
        said = dict(line.split(":", 1) for line in file)
    with urllib.request.urlopen(url, timeout=10) as answer:
        lines = dict(line.rsplit(" ", 1) for line in answer.read().decode().splitlines() if line.startswith(_LAG))
    looks = round(float(lines[f"{_LAG}_count"]))
    in_time = round(float(lines[f'{_LAG}_bucket{{le="{LAG_SECONDS_MAX}"}}']))
    return Sample(
        at=time.time(),
        rss_mib=int(said["VmRSS"].split()[0]) / 1024,
        files=len(os.listdir(f"/proc/{process}/fd")),
        threads=int(said["Threads"]),
        looks=looks,
        late=looks - in_time,
    )


def slope(points: Sequence[tuple[float, float]]) -> float:
    """The growth of the second number while the first one grows by one, by least squares."""
    mean_x, mean_y = (sum(each) / len(points) for each in zip(*points, strict=True))
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0


@dataclass(frozen=True, slots=True)
class Growth:
    """``rss_slope_mib`` is in ten minutes; ``late_share`` is how many looks at the loop were late."""

    measured_seconds: float
    rss_slope_mib: float
    rss_mib: float
    files_before: float
    files_after: float
    looks: int
    late_share: float

    def problems(self) -> list[str]:
        found = []
        if self.looks >= LOOKS_MIN and self.late_share > 0.01:
            found.append(f"the loop was late by more than {LAG_SECONDS_MAX} s at {self.late_share:.1%} of the looks")
        if self.measured_seconds < JUDGED_SECONDS_MIN:
            return found
        if self.rss_slope_mib > RSS_SLOPE_MIB_MAX:
            found.append(f"I10 the memory grows by {self.rss_slope_mib:.2f} MiB in ten minutes")
        if self.files_after > self.files_before + FILES_GROWTH_MAX:
            found.append(f"I10 open files grow from {self.files_before:.1f} to {self.files_after:.1f}")
        return found


def growth(samples: Sequence[Sample]) -> Growth:
    """Of two samples or more, taken after the warm-up."""
    third = max(1, len(samples) // 3)
    looks = samples[-1].looks - samples[0].looks
    return Growth(
        measured_seconds=samples[-1].at - samples[0].at,
        rss_slope_mib=slope([(each.at / 600, each.rss_mib) for each in samples]),
        rss_mib=samples[-1].rss_mib,
        files_before=sum(each.files for each in samples[:third]) / third,
        files_after=sum(each.files for each in samples[-third:]) / third,
        looks=looks,
        late_share=(samples[-1].late - samples[0].late) / max(1, looks),
    )
