"""The jars of the MultiLangDaemon: this file has Maven bring them, once, into the folder ``build``."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
_POM = Path(__file__).with_name("pom.xml")
_PLACE = ROOT / "build" / "kcl-jars"
_SECONDS_MAX = 600


class Missing(Exception):
    """The peer cannot be had here, and why."""


def jars() -> Path:
    """Their folder. Raises `Missing`."""
    if shutil.which("java") is None:
        raise Missing("there is no java")
    if not (_PLACE / _POM.name).is_file() or (_PLACE / _POM.name).read_text() != _POM.read_text():
        _bring()
    return _PLACE


def _bring() -> None:
    """The pom is put beside them last: without it they are not all there."""
    maven = shutil.which("mvn")
    if maven is None:
        raise Missing("there is no mvn to bring its jars")
    shutil.rmtree(_PLACE, ignore_errors=True)
    command = [maven, "-q", "-B", "-f", str(_POM), "dependency:copy-dependencies"]
    command += ["-DincludeScope=runtime", f"-DoutputDirectory={_PLACE}"]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=_SECONDS_MAX)
    except subprocess.CalledProcessError as error:
        said = error.stdout.partition("[ERROR] ")[2] or error.stderr
        raise Missing(f"Maven did not bring its jars: {said[:200]}") from error
    except subprocess.TimeoutExpired as error:
        raise Missing(f"Maven did not bring its jars in {_SECONDS_MAX} s") from error
    shutil.copy(_POM, _PLACE)
