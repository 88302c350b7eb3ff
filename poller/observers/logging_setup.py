"""How log lines look: this file is the set-up of structlog and of the standard library's logging, in one format."""

from __future__ import annotations

import logging
from typing import TextIO

import structlog
from structlog.typing import FilteringBoundLogger, Processor

_TALKATIVE = ("aiobotocore", "aiohttp", "asyncio", "boto3", "botocore", "hpack", "httpcore", "httpx", "urllib3")
"""Libraries that are heard from warning upwards only: at debug they log requests and answers, records included."""


def configure_logging(*, stream: TextIO, as_json: bool | None = None, level: str = "INFO") -> FilteringBoundLogger:
    """Sends all log lines, those of libraries and handlers too, to ``stream``; gives the logger of the house.

    ``as_json``: one JSON object a line, or lines for people; ``None`` is JSON unless ``stream`` is a terminal.
    ``level``: a name of the standard library, such as ``DEBUG``. May be called again.
    """
    if as_json is None:
        as_json = not stream.isatty()
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_renderers(stream, as_json=as_json),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=number, force=True)
    logging.captureWarnings(capture=True)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    logger: FilteringBoundLogger = structlog.get_logger("poller").bind()  # once, not for each call
    return logger


def _renderers(stream: TextIO, *, as_json: bool) -> list[Processor]:
    if as_json:
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    # Plain traces: the pretty ones show the values of local variables, and with them records.
    plain = structlog.dev.plain_traceback
    return [structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=plain)]
