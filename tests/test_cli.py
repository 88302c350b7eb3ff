"""The command line: this file is the proof of its verbs, outputs and exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from poller import __version__
from poller.cli import main
from poller.config import Settings
from poller.errors import ConfigError
from tests.config.full import FULL, MINIMAL


@pytest.fixture
def good(tmp_path: Path) -> Path:
    file = tmp_path / "good.toml"
    file.write_text(FULL)
    return file


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    file = tmp_path / "bad.toml"
    file.write_text(MINIMAL + "batch_size = 0\nenabled = 1\n")
    return file


@pytest.fixture
def doors(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """Stands in for the modules behind the verbs, and remembers how they were called."""
    seen: dict[str, object] = {}

    def main_run(settings: Settings) -> int:
        seen["run"] = settings.path
        return 3

    def main_mappings(settings: Settings, *, as_json: bool) -> int:
        seen["mappings"] = (settings.path, as_json)
        return 0

    def main_shards(settings: Settings, *, as_json: bool) -> int:
        seen["shards"] = (settings.path, as_json)
        return 0

    def main_dev(settings: Settings, *, records: int | None, as_json: bool) -> int:
        seen["dev"] = (settings.path, records, as_json)
        return 0

    for module, door in {
        "poller.app": main_run,
        "poller.mappings_status": main_mappings,
        "poller.status": main_shards,
        "poller.dev.session": main_dev,
    }.items():
        stand_in = ModuleType(module)
        setattr(stand_in, door.__name__, door)
        monkeypatch.setitem(sys.modules, module, stand_in)
    return seen


def test_check_sums_up_a_good_configuration(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--config", str(good)]) == 0
    printed = capsys.readouterr().out
    assert "orders-handler: package.module:function" in printed
    assert "kinesis stream: arn:aws:kinesis:us-east-1:123456789012:stream/orders" in printed


def test_check_shows_nothing_of_a_url_that_may_be_secret(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What CI prints, many can read."""
    file = tmp_path / "c.toml"
    secret = 'url = "https://bob:s3cret@h/x?token=s3cret"'
    place = secret.replace("url", "destination")
    file.write_text(
        f"[functions.orders-handler]\n{secret}\n{MINIMAL}destination_config = {{ on_failure = {{ {place} }} }}\n"
    )
    for more in ([], ["--json"]):
        assert main(["check", "--config", str(file), *more]) == 0
        printed = capsys.readouterr().out
        assert "https://h/..." in printed
        assert "s3cret" not in printed


def test_check_tells_the_region_of_a_lambda_function(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The stream's, unless something says another."""
    file = tmp_path / "c.toml"
    for head, region in (("", "us-east-1"), ('[aws]\nregion = "eu-west-1"\n', "eu-west-1")):
        file.write_text(head + MINIMAL)
        assert main(["check", "--config", str(file)]) == 0
        assert f"Lambda function orders-handler in {region}\n" in capsys.readouterr().out


def test_a_reader_that_has_seen_enough_ends_the_output(good: Path) -> None:
    command = f"{sys.executable} -m poller check --config {good} --json | true; exit ${{PIPESTATUS[0]}}"
    ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert ended.stderr == ""
    assert ended.returncode in (0, 141)


def test_check_gives_json_when_asked(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--json", "--config", str(good)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is True
    assert [mapping["name"] for mapping in told["mappings"]] == ["orders"]


@pytest.mark.parametrize("verb", ["check", "run", "mappings", "shards", "dev"])
def test_every_verb_tells_all_problems_and_exits_78(
    bad: Path, verb: str, doors: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([verb, "--config", str(bad)]) == 78
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.split(" ")[0] for line in err.splitlines()] == [f"{bad}:5:", f"{bad}:6:"]
    assert not doors


def test_problems_come_as_json_when_asked(bad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--json", "--config", str(bad)]) == 78
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is False
    assert len(told["problems"]) == 2


def test_the_verbs_open_their_doors(good: Path, doors: dict[str, object]) -> None:
    assert main(["run", "--config", str(good)]) == 3
    assert main(["mappings", "--config", str(good), "--json"]) == 0
    assert main(["shards", "--config", str(good), "--json"]) == 0
    assert main(["dev", "--config", str(good), "--records", "300"]) == 0
    assert doors == {"run": good, "mappings": (good, True), "shards": (good, True), "dev": (good, 300, False)}


def test_dev_takes_the_example_beside_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, doors: dict[str, object]
) -> None:
    (tmp_path / "config.example.toml").write_text(FULL)
    monkeypatch.chdir(tmp_path)
    assert main(["dev"]) == 0
    assert doors == {"dev": (Path("config.example.toml"), None, False)}


def test_a_configuration_that_fails_later_exits_78_too(
    good: Path, monkeypatch: pytest.MonkeyPatch, doors: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    def main_run(settings: Settings) -> int:
        raise ConfigError(("no such module",))

    monkeypatch.setattr(sys.modules["poller.app"], "main_run", main_run)
    assert main(["run", "--config", str(good)]) == 78
    assert capsys.readouterr().err == "no such module\n"


def test_an_interrupt_exits_130(good: Path, monkeypatch: pytest.MonkeyPatch, doors: dict[str, object]) -> None:
    def main_run(settings: Settings) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["poller.app"], "main_run", main_run)
    assert main(["run", "--config", str(good)]) == 130


@pytest.mark.parametrize(
    "arguments", [[], ["run"], ["check"], ["mappings"], ["shards"], ["dev", "--records", "0"], ["fly"]]
)
def test_wrong_usage_exits_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


@pytest.mark.parametrize(
    "arguments", [["--help"], *([verb, "--help"] for verb in ("run", "check", "mappings", "shards", "dev"))]
)
def test_every_help_has_an_example(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 0
    assert "example:\n  poller " in capsys.readouterr().out


def test_python_runs_the_package_as_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "poller", "--version"], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, f"poller {__version__}\n")
