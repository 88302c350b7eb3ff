"""A Python handler in this process, called as Lambda calls it: this file is where user code meets the worker.

A handler gets ``(event, context)`` and may be sync or async. Sync ones run in threads, never on the event loop.
Whatever a handler does wrong is a function error (R-PORT-5).
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import json
import os
import time
import traceback
from collections.abc import Awaitable, Callable
from decimal import Decimal
from importlib import import_module
from pathlib import Path

import anyio
from anyio.lowlevel import checkpoint_if_cancelled

from poller.daemon_thread import NotStarted, in_daemon_thread
from poller.errors import ConfigError
from poller.invocation import FunctionFailed, Invocation, NotInvoked, Outcome, Succeeded
from poller.rules.envelope import event
from poller.targets.answers import ANSWER_BYTES_MAX, TOO_LARGE, in_short
from poller.targets.context import LambdaContext

Handler = Callable[[object, LambdaContext], object]


def load_handler(text: str) -> Handler:
    """The function that ``package.module:function`` names. Raises `ConfigError`, saying why, if it cannot be had."""
    module, _, path = text.partition(":")
    try:
        found: object = import_module(module)
    except (Exception, SystemExit) as error:  # user code, which may do anything when it is imported
        where = f"looked in {os.getcwd()} and in the installed packages"
        raise ConfigError((f"handler {text!r} cannot be imported: {describe(error)}; {where}",)) from error
    for name in path.split("."):
        found = getattr(found, name, None)
    if not callable(found):
        raise ConfigError(
            (f"handler {text!r}: {module} has no function {path!r}; name one that takes (event, context)",)
        )
    return found


class PythonTarget:
    """Invokes ``handler``; see `poller.ports.Target`.

    No thread can be ended from outside: a sync handler that outlives ``timeout_seconds`` is a function error, as it
    should be, but runs on, perhaps beside the next attempt. Handlers that must not do so ask the context how much
    time remains, or are async: those are cancelled.
    """

    def __init__(self, handler: Handler, *, function_name: str, function_arn: str, timeout_seconds: float) -> None:
        self._handler = handler
        self._function_name = function_name
        self._function_arn = function_arn
        self._timeout_seconds = timeout_seconds
        self._call = _await if _is_async(handler) else _in_thread

    async def invoke(self, invocation: Invocation) -> Outcome:
        context = LambdaContext(
            aws_request_id=invocation.request_id,
            function_name=self._function_name,
            invoked_function_arn=self._function_arn,
            deadline=time.monotonic() + self._timeout_seconds,
        )
        with anyio.move_on_after(self._timeout_seconds):
            outcome = await self._answer(invocation, context)
            await checkpoint_if_cancelled()  # a handler that swallowed its cancellation is not one that is done
            return outcome
        return FunctionFailed(f"Task timed out after {self._timeout_seconds:.2f} seconds")

    async def aclose(self) -> None:
        """Nothing to do."""

    async def _answer(self, invocation: Invocation, context: LambdaContext) -> Outcome:
        asked = event(invocation)  # each attempt has a copy of its own (R-PORT-5)
        try:
            answer = await self._call(self._handler, asked, context)
            if inspect.isawaitable(answer):  # a coroutine in disguise, as of a decorator
                answer = await _apart(answer)
            body = _serialised(answer)
            return Succeeded(body) if len(body) <= ANSWER_BYTES_MAX else FunctionFailed(TOO_LARGE)
        except anyio.get_cancelled_exc_class():
            await checkpoint_if_cancelled()  # goes on raising if it was us
            return FunctionFailed("the handler cancelled itself")
        except NotStarted as error:
            return NotInvoked(f"the handler could not be called: {error}")
        except BaseException as error:
            # Some libraries derive their time-outs from it, so that no handler catches them by mistake. In Lambda it
            # would end the sandbox, as a `sys.exit` does, and here ends the attempt alone.
            return FunctionFailed(describe(error))


def describe(error: BaseException) -> str:
    """An error in one line, with the place in the handler where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno} in {frames[-1].name})" if frames else ""
    try:
        said = in_short(str(error))
    except (Exception, SystemExit) as another:  # user code again
        said = f"(its text cannot be had: {type(another).__name__})"
    return f"{type(error).__name__}: {said}{place}"


def _is_async(handler: Handler) -> bool:
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(type(handler).__call__)


async def _await(handler: Handler, event: object, context: LambdaContext) -> object:
    answer = handler(event, context)
    assert isinstance(answer, Awaitable)
    return await _apart(answer)


async def _apart(awaitable: Awaitable[object]) -> object:
    """In a task of its own: a handler that cancels its task, even later on, must not cancel one of the worker's.

    It is one of a group, so that what a handler shields from being cancelled stays shielded.
    """
    answers, errors = list[object](), list[BaseException]()

    async def work() -> None:
        try:
            answers.append(await awaitable)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # a `SystemExit` that leaves a task ends the loop
            errors.append(error)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(work)
    if errors:
        raise errors.pop()  # kept here, it would be in a circle with this frame, and so would the event
    if not answers:
        raise asyncio.CancelledError
    return answers[0]


async def _in_thread(handler: Handler, event: object, context: LambdaContext) -> object:
    variables = contextvars.copy_context()
    name = f"handler {context.aws_request_id}"
    return await in_daemon_thread(lambda: variables.run(handler, event, context), name)


def _serialised(answer: object) -> bytes:
    """The answer as Lambda's runtime would send it: bytes as they are, and numbers that are none as Python spells them.

    Raises `ValueError` or `TypeError` if JSON has no form for it.
    """
    if isinstance(answer, bytes):
        return answer
    return json.dumps(answer, ensure_ascii=False, default=_plain).encode("utf-8", "surrogatepass")


def _plain(value: object) -> int | float:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() and value.as_tuple().exponent == 0 else float(value)
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")
