"""The few exceptions of the house; everything else that can happen is a value: this file is their list."""


class Unavailable(Exception):
    """A service did not answer usefully: throttle, 5xx, broken connection, malformed answer.

    The nearest loop backs off. ``throttled`` says that the service asked for a slower pace.
    Never counts as an attempt of a batch (R-KIN-7).
    """

    def __init__(self, problem: str, *, throttled: bool = False) -> None:
        super().__init__(problem)
        self.throttled = throttled


class PositionLost(Exception):
    """The wanted position is no longer in the stream (R-DDB-6).

    The shard reports the gap and goes on from the oldest record. ``shard_gone`` says that the whole
    shard has left the stream: nothing of it can be read any more.
    """

    def __init__(self, problem: str, *, shard_gone: bool = False) -> None:
        super().__init__(problem)
        self.shard_gone = shard_gone


class SourceGone(Exception):
    """The stream does not exist, or may not be read; the mapping waits and looks again (R-STATE-8, R-STATE-10).

    ``said`` is the service's own text, empty if it was not the service that spoke.
    """

    def __init__(self, problem: str, *, said: str = "") -> None:
        super().__init__(problem)
        self.said = said


class LeaseLost(Exception):
    """Another worker owns the shard now; the shard's task ends, which is normal life."""


class ConfigError(Exception):
    """The configuration cannot be used; ``problems`` holds every complaint, ready to print."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
