"""Work that may hang, in a thread of its own: this file is the way there and back.

It is a daemon thread: one of the event loop's pool would keep the process from ending.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import anyio
from anyio import from_thread
from anyio.lowlevel import current_token

T = TypeVar("T")


class NotStarted(Exception):
    """There was no thread, as the system allows no more of them."""


async def in_daemon_thread(work: Callable[[], T], name: str, *, ended: Callable[[], None] = lambda: None) -> T:
    """What ``work`` gives, or raises, whatever it is. Raises `NotStarted`.

    Who is cancelled leaves the thread to itself; ``ended`` is called, on the event loop, when it is over at last.
    """
    came_back, answers, errors = anyio.Event(), list[T](), list[BaseException]()
    token = current_token()

    def run() -> None:
        try:
            answers.append(work())
        except BaseException as error:  # carried over to who waits, or to nobody
            errors.append(error)
        with suppress(RuntimeError):  # the event loop has ended meanwhile
            from_thread.run_sync(tell, token=token)

    def tell() -> None:
        came_back.set()
        ended()

    try:
        threading.Thread(target=run, name=name, daemon=True).start()
    except RuntimeError as error:
        ended()
        raise NotStarted(str(error)) from error
    await came_back.wait()
    if errors:
        raise errors.pop()  # kept here, it would be in a circle with this frame, and so would what it was about
    return answers[0]
