"""What the whole proof is made of: this file names its parts, how much of each, and what it is run with."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Part:
    """One command; ``amount`` goes into ``arguments`` at ``{}``, in proportion for a run that is not the whole.

    Where it stands for nothing, the part is always whole.
    """

    name: str
    promise: str
    arguments: str
    amount: int

    def command(self, scale: float) -> list[str]:
        amount = max(1, round(self.amount * scale))
        return ["-m", *self.arguments.format(amount).split()]


PARTS = (
    Part("simulation", "no simulated world breaks a promise", "tests.simulation --seeds {}", 20_000),
    Part("soak", "half an hour of real load leaks nothing", "tests.soak --minutes {}", 30),
    Part("week", "a week of hourly reshards leaves nothing behind", "tests.soak.days --days {}", 7),
    Part("explorer", "no order of events breaks a promise in a small world", "tests.explorer --states {}", 5_000_000),
    Part(
        "machines",
        "no order of calls breaks a rule or a store",
        "tests.machines --examples {}",
        500,
    ),
    Part("pauses", "a zombie changes nothing", "tests.processes.pauses --pauses {}", 20),
    Part("toxics", "a faulty line loses nothing", "tests.processes.toxics --seconds {}", 8),
    Part("restarts", "a restart of the stream's server loses nothing", "tests.processes.restarts --restarts {}", 3),
    Part("disks", "no disk, no lock and no deleted file loses anything", "tests.processes.disks", 1),
    Part("kills", "kill -9 loses nothing and repeats a batch a lane", "tests.processes.kills --kills {}", 500),
    Part("drains", "SIGTERM under load repeats nothing", "tests.processes.drains --drains {}", 100),
    Part("processes-mutants", "such runs find every bug that is put back in", "tests.processes.mutants", 1),
    Part("days", "no simulated world of 26 hours breaks one", "tests.simulation --seeds 0 --days {}", 28),
    Part("wire", "no world behind the real client breaks one", "tests.wire --seeds {}", 2000),
    Part("mutants", "the simulated worlds find every bug that is put back in", "tests.simulation.hunt", 1),
    Part("wire-mutants", "these worlds find every bug that is put back into the adapters", "tests.wire.hunt", 1),
    Part("fuzz", "no bytes from outside break or deceive the worker", "tests.fuzz --executions {}", 500_000),
)
"""Two at a time, in this order: those that take long without much of the machine go beside the worlds."""
