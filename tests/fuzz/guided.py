"""``python -m tests.fuzz.guided TARGET CORPUS FLAG...``: this file is one target under atheris, to its end.

libFuzzer ends its process, so each target has one of its own. Only modules of `poller` are instrumented, which is what
keeps an execution well under a millisecond.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from random import Random

import atheris

from tests.fuzz.mutation import mutated

_BY_ATHERIS = 0.4
"""The share of inputs that libFuzzer makes; it knows what was compared, and cannot know JSON."""


def main(name: str, corpus: Path, flags: list[str]) -> None:
    """Never returns."""
    with atheris.instrument_imports(include=["poller"]):
        target = importlib.import_module(f"tests.fuzz.targets.{name}")
    seeds = target.seeds()
    for number, seed in enumerate(seeds):
        (corpus / f"seed-{number:02}").write_bytes(seed)

    def bend(data: bytes, size_max: int, seed: int) -> bytes:
        random = Random(seed)
        if not data or random.random() < _BY_ATHERIS:
            return atheris.Mutate(data, size_max)
        return mutated(data, random, target.WORDS, seeds)[:size_max]

    flags = [f"-max_len={target.BYTES_MAX}", *flags]
    atheris.Setup([sys.argv[0], *flags, str(corpus)], target.fuzz, custom_mutator=bend)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
