"""This file is the door to those who listen to events: metrics, log, health."""

from __future__ import annotations

from poller.events import Event
from poller.ports import Observer


def fan_out(*observers: Observer) -> Observer:
    """One observer that tells every event to all ``observers``, in their order.

    An observer never raises (see `poller.ports.Observer`), so nothing is caught here.
    """

    def tell(event: Event) -> None:
        for observer in observers:
            observer(event)

    return tell
