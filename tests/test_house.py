"""The house keeps its order: floors, and what must not be found on them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "poller"
WORDS = {"model", "records", "invocation", "arns", "mapping", "events", "errors"}
ADAPTERS = {
    *("sources", "targets", "destinations", "stores", "observers", "identity", "keepalive", "clock", "daemon_thread"),
    *(
        "aws",
        "aws_errors",
        "repeating",
        "signing",
        "connections",
        "http_line",
        "http_answer",
        "http_errors",
        "malloc",
        "garbage",
    ),
}
DOORS = {"app", "opening", "status", "mappings_status", "filter_test", "cli", "api", "dev", "__main__"}
MODULES = sorted(
    path.relative_to(PACKAGE.parent).with_suffix("").as_posix().replace("/", ".") for path in PACKAGE.rglob("*.py")
)


def tree(module):
    return ast.parse((PACKAGE.parent / (module.replace(".", "/") + ".py")).read_text())


def room(module):
    """The first part of a module's name below the package."""
    return [*module.split("."), ""][1]


def floor(module):
    name = room(module)
    if name in WORDS or name in ("", "__init__"):
        return 0
    if name in ("rules", "ports"):
        return 1
    if name in ADAPTERS or name == "engine":
        return 2
    assert name in DOORS or name.startswith("config"), f"{module} has no place in the house"
    return 3


def imports(module):
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports by a relative name"
            yield node.module


def own_imports(module):
    return {name for name in imports(module) if name.split(".")[0] == "poller"}


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_down_only(module):
    for name in own_imports(module):
        assert floor(name) <= floor(module), f"{module} imports {name} from a floor above"


@pytest.mark.parametrize("module", [each for each in MODULES if room(each) in ADAPTERS])
def test_adapters_never_import_the_engine(module):
    assert not {name for name in own_imports(module) if room(name) == "engine"}


@pytest.mark.parametrize("module", [each for each in MODULES if room(each) == "engine"])
def test_the_engine_talks_to_plugs_only(module):
    assert not {name for name in own_imports(module) if room(name) in ADAPTERS}


def test_there_are_no_circles():
    graph = {module.removesuffix(".__init__"): own_imports(module) for module in MODULES}
    done, under_way = set(), []

    def visit(module):
        assert module not in under_way, f"a circle: {[*under_way, module]}"
        if module in done or module not in graph:
            return
        under_way.append(module)
        for name in graph[module]:
            visit(name)
        done.add(under_way.pop())

    for module in graph:
        visit(module)


@pytest.mark.parametrize("module", MODULES)
def test_libraries_stay_in_their_rooms(module):
    packages = {name.split(".")[0] for name in imports(module)}
    if room(module) not in ADAPTERS | {"api", "dev"}:
        assert not packages & {"botocore", "aiobotocore", "aiohttp", "sqlite3", "boto3"}
    if room(module) not in ADAPTERS:
        assert not packages & {"httpx", "h2"}
    if room(module) not in {"observers", "app", "cli", "api"}:
        assert not packages & {"prometheus_client", "structlog"}


@pytest.mark.parametrize("module", [each for each in MODULES if room(each) == "rules"])
def test_rules_are_pure(module):
    assert not {name.split(".")[0] for name in imports(module)} & {
        "time",
        "random",
        "datetime",
        "anyio",
        "asyncio",
        "os",
    }
    for node in ast.walk(tree(module)):
        assert not isinstance(node, ast.AsyncFunctionDef | ast.Await), f"{module} is not pure"


@pytest.mark.parametrize("module", [each for each in MODULES if floor(each) < 3])
def test_wall_time_is_read_in_one_class(module):
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            read = f"{node.value.id}.{node.attr}"
            assert module == "poller.clock" or read not in {"time.time", "datetime.now", "datetime.utcnow"}, module


def catches_everything(handler):
    names = [handler.type] if not isinstance(handler.type, ast.Tuple) else handler.type.elts
    return handler.type is None or any(
        isinstance(n, ast.Name) and n.id in ("Exception", "BaseException") for n in names
    )


def test_everything_is_caught_in_the_bulkhead_and_around_user_code_only():
    where = [
        module
        for module in MODULES
        if room(module) != "dev"
        for node in ast.walk(tree(module))
        if isinstance(node, ast.ExceptHandler) and catches_everything(node)
    ]
    assert where == ["poller.daemon_thread", "poller.engine.supervisor", *["poller.targets.python"] * 4]


@pytest.mark.parametrize("module", [each for each in MODULES if floor(each) < 2 or room(each) == "engine"])
def test_no_shape_of_aws_passes_a_plug(module):
    assert "dict[str, Any]" not in ast.unparse(tree(module))


@pytest.mark.parametrize("module", MODULES)
def test_every_module_says_what_it_is(module):
    said = ast.get_docstring(tree(module))
    assert said, f"{module} has no docstring"
    assert "this file" in said.split("\n\n")[0].lower(), module


@pytest.mark.parametrize("module", MODULES)
def test_files_are_small(module):
    lines = (PACKAGE.parent / (module.replace(".", "/") + ".py")).read_text().count("\n")
    assert lines <= 300, f"{module} has {lines} lines"


@pytest.mark.parametrize("module", MODULES)
def test_functions_are_small_and_take_no_boolean_by_position(module):
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno < 60, f"{module}.{node.name} is long"
            for argument in node.args.args:
                annotation = ast.unparse(argument.annotation) if argument.annotation else ""
                assert annotation != "bool", f"{module}.{node.name}({argument.arg})"
