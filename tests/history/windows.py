"""Whether tumbling windows count once: this file judges the promise I16.

I16 every record that was settled is in the state of one window, once, and in no later one's.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from tests.history import entries
from tests.history.promises import Judge


@dataclass(slots=True)
class WindowJudge(Judge):
    """``still_open``: per shard, what is in the state that is kept for the window that is open at the end."""

    still_open: dict[str, tuple[int, ...]] = field(default_factory=dict)
    _ended: dict[str, dict[int, tuple[int, ...]]] = field(default_factory=lambda: defaultdict(dict))

    def attempted(self, entry: entries.Attempted) -> None:
        put_at = self.shards[entry.shard].put_at
        if entry.before is not None and any(put_at[number] >= entry.before for number in entry.numbers):
            self.broken(entry, f"I16 {entry.shard}: records of a later window in {entry.numbers}")

    def windowended(self, entry: entries.WindowEnded) -> None:
        """The last telling of an end counts, since a crash may repeat it.

        The state must be the same then, unless another worker with another clock thinks that the window is not over.
        """
        ended = self._ended[entry.shard]
        before = ended.get(entry.start)
        if before is not None and before != entry.numbers and self.promises.clocks_agree:
            self.broken(entry, f"I16 {entry.shard}: the window {entry.start} ended with another state before")
        if len(set(entry.numbers)) < len(entry.numbers):
            self.broken(entry, f"I16 {entry.shard}: a record is in the state twice: {entry.numbers}")
        ended[entry.start] = entry.numbers

    def at_the_end(self) -> None:
        if not self.promises.windows:
            return
        for name, shard in self.shards.items():
            states = (*self._ended[name].values(), self.still_open.get(name, ()))
            counted = Counter(number for numbers in states for number in numbers)
            twice = sorted(number for number, count in counted.items() if count > 1)
            if twice:
                self.violations.append(f"I16 {name}: in more than one state: {twice[:10]}")
            settled = set(shard.all.numbers) - shard.discarded - shard.trimmed - shard.out_of_scope
            missing = sorted(settled - set(counted))
            if missing:
                text = f"I16 {name}: settled, yet in no state: {missing[:10]} ({len(missing)} records)"
                self.violations.append(text)
