"""The verbs ``run``, ``check``, ``mappings``, ``shards``, ``filter`` and ``dev``: this file is the command line.

Exit codes are in `_EXIT_CODES`; each problem of a configuration is told on standard error.
What a verb needs is imported when it is used, so that ``check`` and ``--help`` are quick.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from poller import __version__
from poller.arns import lambda_arn, shown, source_kind
from poller.clock import SystemClock
from poller.config import Settings, load
from poller.errors import ConfigError
from poller.mapping import EventSourceMapping

EXIT_USAGE = 2
EXIT_CONFIG = 78
EXIT_INTERRUPTED = 130
EXIT_PIPE = 141

_EXIT_CODES = """exit codes:
  0 done, also after a drain    1 not all could be told, or is accounted for    2 wrong usage
  78 the configuration cannot be used    130 Ctrl-C    141 nobody reads the output any more
  run leaves at a second signal with 130 for Ctrl-C, 143 for SIGTERM"""

_EXAMPLE = "config.example.toml"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one verb and gives its exit code; ``argv`` is without the program's name, default `sys.argv`."""
    arguments = _parser().parse_args(argv)
    verb: Callable[[argparse.Namespace], int] = arguments.verb
    try:
        return verb(arguments)
    except ConfigError as error:
        _print_problems(error.problems, as_json=getattr(arguments, "json", False))
        return EXIT_CONFIG
    except ExceptionGroup as group:  # what was raised inside of task groups
        problems = _config_problems(group)
        if not problems:
            raise
        _print_problems(problems, as_json=getattr(arguments, "json", False))
        return EXIT_CONFIG
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # whoever read has seen enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_PIPE


def _config_problems(group: ExceptionGroup) -> tuple[str, ...]:
    """The problems of all `ConfigError` in ``group``, empty if it holds something else too."""
    problems: list[str] = []
    for error in group.exceptions:
        more = _config_problems(error) if isinstance(error, ExceptionGroup) else getattr(error, "problems", ())
        if not more:
            return ()
        problems += more
    return tuple(problems)


def _print_problems(problems: Sequence[str], *, as_json: bool) -> None:
    if as_json:
        _print_json({"ok": False, "problems": list(problems)})
    else:
        print(*problems, sep="\n", file=sys.stderr)


def _check(arguments: argparse.Namespace) -> int:
    settings = _settings(arguments)
    if arguments.json:
        shown_mappings = [
            asdict(each) | {"destination": shown(each.destination or "") or None} for each in settings.mappings
        ]
        _print_json({"ok": True, "mappings": shown_mappings, "notes": list(settings.notes)})
        return 0
    print(*settings.notes, sep="\n", end="\n" if settings.notes else "", file=sys.stderr)
    print(f"{settings.path}: {len(settings.mappings)} mapping(s), store {settings.store_url}")
    for mapping in settings.mappings:
        print(f"\n{mapping.name}{'' if mapping.enabled else '  (disabled)'}")
        for key, text in _summary(settings, mapping).items():
            print(f"  {key:<10}  {text}")
    return 0


def _run(arguments: argparse.Namespace) -> int:
    settings = _settings(arguments)
    from poller.app import main_run

    return main_run(settings)


def _mappings(arguments: argparse.Namespace) -> int:
    settings = _settings(arguments)
    from poller.mappings_status import main_mappings

    return main_mappings(settings, as_json=arguments.json)


def _shards(arguments: argparse.Namespace) -> int:
    settings = _settings(arguments)
    from poller.status import main_shards

    return main_shards(settings, as_json=arguments.json)


def _filter_test(arguments: argparse.Namespace) -> int:
    from poller.filter_test import main_filter_cases, main_filter_test

    if arguments.file is not None and arguments.pattern is None:
        return main_filter_cases(arguments.file, as_json=arguments.json, strict=arguments.strict)
    if arguments.event is None or arguments.file is not None:
        print("give PATTERN and EVENT, or --file CASES.jsonl", file=sys.stderr)
        return EXIT_USAGE
    return main_filter_test(arguments.pattern, arguments.event, as_json=arguments.json, strict=arguments.strict)


def _dev(arguments: argparse.Namespace) -> int:
    settings = _settings(arguments)
    from poller.dev.session import main_dev

    return main_dev(settings, records=arguments.records, as_json=arguments.json)


def _settings(arguments: argparse.Namespace) -> Settings:
    path: Path = arguments.config
    return load(path, now=SystemClock().now(), environ=os.environ)


def _summary(settings: Settings, mapping: EventSourceMapping) -> dict[str, str]:
    """One mapping in a few words."""
    kind = source_kind(mapping.source_arn)
    batch, failure = mapping.batch, mapping.failure
    own = settings.functions.get(mapping.function_name)
    where = _lambda_function(settings, mapping) if own is None else f"{own.name}: {own.handler or shown(own.url or '')}"
    starts = mapping.starting_position
    if mapping.starting_timestamp is not None:
        starts = f"{starts} {mapping.starting_timestamp:.3f}"
    filters = len(mapping.filter_patterns)
    extras = (", bisect" if failure.bisect else "") + (", item failures" if failure.report_item_failures else "")
    retries = "until the records expire" if failure.retries_max is None else f"{failure.retries_max} times"
    age = "" if failure.age_seconds_max is None else f", records up to {failure.age_seconds_max:g} s old"
    lanes = f", {mapping.lanes} lanes" if mapping.lanes > 1 else ""
    tumbling = f", tumbling windows of {mapping.tumbling_window_seconds} s" if mapping.tumbling_window_seconds else ""
    return {
        "source": f"{kind}: {mapping.source_arn}{', aggregates opened' if mapping.deaggregate else ''}",
        "function": where,
        "starts": starts,
        **({"filters": f"{filters} pattern(s)"} if filters else {}),
        "batch": f"up to {batch.batch_size} records, window {batch.window_seconds:g} s{lanes}{tumbling}",
        "on failure": f"retry {retries}{age}{extras}",
        **({"reports": shown(mapping.destination)} if mapping.destination else {}),
        "id": mapping.id,
    }


def _lambda_function(settings: Settings, mapping: EventSourceMapping) -> str:
    """With its region, which is that of the stream unless ``[aws] region`` or the function's own ARN says another."""
    arn = lambda_arn(mapping.function_name, mapping.source_arn, region=settings.aws.region)
    return f"Lambda function {mapping.function_name} in {arn.split(':')[3]}"


def _print_json(value: object) -> None:
    print(json.dumps(value, indent=2))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="poller",
        description="Polls Kinesis and DynamoDB streams and invokes functions, as Lambda's event source mappings do.",
        epilog="example:\n  poller check --config poller.toml && poller run --config poller.toml\n\n" + _EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"poller {__version__}")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    _add_verb(
        verbs, "run", _run, "work until stopped; SIGTERM and Ctrl-C drain first", "poller run --config poller.toml"
    )
    check = _add_verb(
        verbs,
        "check",
        _check,
        "tell all that is wrong with a configuration, or what it means",
        "poller check --config poller.toml",
    )
    mappings = _add_verb(
        verbs,
        "mappings",
        _mappings,
        "show each mapping's state and last processing result, in Lambda's words",
        "poller mappings --config poller.toml --json",
    )
    shards = _add_verb(
        verbs,
        "shards",
        _shards,
        "show each shard's parents, position, lag and last outcome",
        "poller shards --config poller.toml --json",
    )
    _add_filter_verb(verbs)
    dev = _add_verb(
        verbs, "dev", _dev, "work on an embedded endpoint with sample traffic; needs no AWS", "poller dev --records 300"
    )
    dev.set_defaults(config=_example_config())
    dev.add_argument("--records", type=_positive, metavar="N", help="end after N records, with a summary")
    for each in (check, mappings, shards, dev):
        each.add_argument("--json", action="store_true", help="print JSON instead of text")
    return parser


def _add_verb(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    verb: Callable[[argparse.Namespace], int],
    meaning: str,
    example: str,
) -> argparse.ArgumentParser:
    parser = verbs.add_parser(
        name,
        help=meaning,
        description=f"{meaning[0].upper()}{meaning[1:]}.",
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    extra = f"; default: {_EXAMPLE}" if name == "dev" else ""
    parser.add_argument(
        "--config", type=Path, required=name != "dev", metavar="FILE", help=f"the configuration, TOML{extra}"
    )
    parser.set_defaults(verb=verb)
    return parser


def _add_filter_verb(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    above = verbs.add_parser("filter", help="try out filter patterns", description="Try out filter patterns.")
    test = above.add_subparsers(metavar="VERB", required=True).add_parser(
        "test",
        help="say whether a pattern matches an event, and if not, why",
        description="Say whether a pattern matches an event, and if not, the first reason why. The event is what a "
        "pattern sees: for Kinesis the record's fields at the top level, with data decoded.",
        epilog="exit codes:\n  0 match, 1 no match, 2 the pattern or the event cannot be used; of a file of cases:\n"
        "  0 all as expected, 1 some differ, 2 it cannot be used\n\n"
        """example:\n  poller filter test '{"data": {"type": ["order"]}}' '{"data": {"type": "order"}}'\n"""
        "  poller filter test @pattern.json @event.json\n  poller filter test --file cases.jsonl",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    test.add_argument("pattern", nargs="?", metavar="PATTERN", help="the pattern, JSON; @FILE reads it, - is stdin")
    test.add_argument("event", nargs="?", metavar="EVENT", help="the event, JSON; @FILE reads it, - is stdin")
    cases = 'instead: lines of {"pattern": ..., "event": ..., "expected": "match|no_match|invalid"}'
    test.add_argument("--file", type=Path, metavar="CASES.jsonl", help=cases)
    strict = "judge as a mapping without extended_filter_operators does: Lambda's own operators only"
    test.add_argument("--strict", action="store_true", help=strict)
    test.add_argument("--json", action="store_true", help="print JSON instead of text")
    test.set_defaults(verb=_filter_test)


def _example_config() -> Path:
    """The example beside the user, else the one beside the sources, else the one that the package carries."""
    package = Path(__file__).parent
    places = (Path(_EXAMPLE), package.parent / _EXAMPLE, package / "dev" / _EXAMPLE)
    return next((place for place in places if place.is_file()), places[0])


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, not {text!r}")
    return int(text)
