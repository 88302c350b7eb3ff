"""What proves that a service took something: this file is the look for its receipt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def taken(answer: Mapping[str, Any], receipt: str) -> None:
    """Raises `KeyError` if an answer lacks the ``receipt`` that its service gives for all it takes.

    What stands in between, as a proxy, may answer with the status of success too, and has taken nothing.
    """
    if not answer.get(receipt):
        raise KeyError(receipt)
