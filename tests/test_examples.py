"""The files in examples/nightly: whole in the eyes of those who read them, and every command line in them ours."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from pipeline.archive.run_options import Shard
from pipeline.commands import archive, video

ROOT = Path(__file__).parent.parent
NIGHTLY = ROOT / "examples" / "nightly"
PROGRAM = "/opt/autochrome/bin/colorize-archive"
SETTINGS = ["--config", "/etc/autochrome.toml"]
NO_RETRY = {"2", "4", "7", "8", "9"}


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def run(*words: object, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in words],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def understood(words: list[str]) -> dict[str, Any]:
    """Parse the words behind ``colorize-archive``; the example's settings stand for those in /etc."""
    words = [str(NIGHTLY / "autochrome.toml") if word == "/etc/autochrome.toml" else word for word in words]
    with get_command(archive.commands).make_context("colorize-archive", words) as context:
        return context.params


def line_of(name: str, pattern: str) -> list[str]:
    """Return the words of the one command line in the file ``name`` behind the program's name."""
    found = re.findall(pattern, (NIGHTLY / name).read_text(encoding="utf-8"), re.MULTILINE)
    assert len(found) == 1
    program, *words = shlex.split(found[0])
    assert program == PROGRAM
    return words


@pytest.fixture
def recorder(tmp_path: Path) -> Path:
    """Return a folder whose ``colorize-archive`` writes its words, one a line, and the file they go to."""
    program = tmp_path / "bin" / "colorize-archive"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    return program.parent


def recorded(recorder: Path, *words: object, **variables: str) -> list[str]:
    done = run(*words, PATH=f"{recorder}{os.pathsep}{os.environ['PATH']}", **variables)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("command", [video.commands, archive.commands], ids=["video", "archive"])
def test_the_settings_are_understood_by_both_commands(command: Any) -> None:
    words = ["somewhere", "--config", str(NIGHTLY / "autochrome.toml")]
    with get_command(command).make_context("colorize", words) as context:
        assert context.params["on_damage"] == "conceal"
        if command is archive.commands:
            assert context.params["keep_free"] == 50_000_000_000
            assert context.params["exclude"] == ["thumbs", "*.gif"]


def test_systemd_and_cron_start_the_same_run() -> None:
    service = line_of("autochrome.service", r"^ExecStart=(.+)$")
    cron = line_of("crontab", r"^[0-9*/,-]+ +[0-9*/,-]+ +\S+ +\S+ +\S+ +\w+ +(/.+)$")
    assert service == cron
    values = understood(service)
    assert values["folder"] == Path("/srv/archive/scans")
    assert values["until"].strftime("%H:%M") == "06:00"
    assert values["log"] == Path("/var/log/autochrome/archive.jsonl")
    assert values["quiet"] is True


def test_a_crontab_holds_no_percent_sign_which_cron_would_take_for_a_line_break() -> None:
    assert "%" not in (NIGHTLY / "crontab").read_text(encoding="utf-8")


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    analyze = tool("systemd-analyze")
    for name in ("autochrome.service", "autochrome.timer"):
        text = (NIGHTLY / name).read_text(encoding="utf-8")
        (tmp_path / name).write_text(text.replace(PROGRAM, sys.executable), encoding="utf-8")
    units = [tmp_path / "autochrome.service", tmp_path / "autochrome.timer"]
    done = run(analyze, "verify", "--man=no", "--recursive-errors=no", *units)
    assert (done.returncode, done.stderr) == (0, "")
    (when,) = re.findall(r"^OnCalendar=(.+)$", units[1].read_text(encoding="utf-8"), re.MULTILINE)
    assert run(analyze, "calendar", when).returncode == 0
    units[0].write_text(units[0].read_text(encoding="utf-8").replace("Restart=on", "Restart=of"), encoding="utf-8")
    assert run(analyze, "verify", "--man=no", "--recursive-errors=no", units[0]).stderr != ""


def test_what_a_retry_cannot_mend_is_not_retried() -> None:
    (codes,) = re.findall(
        r"^RestartPreventExitStatus=(.+)$", (NIGHTLY / "autochrome.service").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert set(codes.split()) == NO_RETRY
    (failing,) = re.findall(r"values: \[(.+)\]", (NIGHTLY / "kubernetes-job.yaml").read_text(encoding="utf-8"))
    assert set(failing.split(", ")) == NO_RETRY | {"3"}


def test_every_job_of_the_slurm_array_takes_its_part(recorder: Path) -> None:
    bash = tool("bash")
    script = NIGHTLY / "slurm-array.sh"
    assert run(bash, "-n", script).returncode == 0
    text = script.read_text(encoding="utf-8")
    (count,) = re.findall(r"^#SBATCH --array=1-(\d+)$", text, re.MULTILINE)
    logs = set()
    for index in (1, int(count)):
        values = understood(recorded(recorder, bash, script, SLURM_ARRAY_TASK_ID=str(index)))
        assert values["shard"] == Shard(index=index, count=int(count))
        assert values["output"] == Path("/archive/scans-colorized")
        logs.add(values["log"])
    assert len(logs) == 2


def test_slurm_takes_the_array() -> None:
    done = run(tool("sbatch"), "--test-only", NIGHTLY / "slurm-array.sh")
    if re.search("[Uu]nable to contact|configuration source|slurm.conf|lookup failure|[Cc]ommunication", done.stderr):
        pytest.skip("no Slurm controller")
    assert done.returncode == 0, done.stderr


def kubernetes_job() -> dict[str, Any]:
    """Return the Job as kubectl reads it, without a cluster; what kubectl does not know it leaves out."""
    words = ("set", "image", "--local", "-o", "json", "-f", NIGHTLY / "kubernetes-job.yaml", "autochrome=an-image")
    done = run(tool("kubectl"), *words)
    assert done.returncode == 0, done.stderr
    job: dict[str, Any] = json.loads(done.stdout)
    return job


def test_every_index_of_the_kubernetes_job_takes_its_part(recorder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = kubernetes_job()["spec"]
    assert spec["completionMode"] == "Indexed"
    (container,) = spec["template"]["spec"]["containers"]
    for variable in container["env"]:
        monkeypatch.setenv(variable["name"], variable["value"])
    for index in (0, spec["completions"] - 1):
        words = recorded(recorder, *container["command"], *container["args"], JOB_COMPLETION_INDEX=str(index))
        values = understood(words)
        assert values["shard"] == Shard(index=index + 1, count=spec["completions"])
        assert values["keep_free"] == 50_000_000_000


def test_kubectl_knows_every_field_of_the_job() -> None:
    text = (NIGHTLY / "kubernetes-job.yaml").read_text(encoding="utf-8")
    code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    written = set(re.findall(r"(?:^[ -]*|[{,] *)([a-zA-Z]+):(?= |$)", code, re.MULTILINE))
    assert {"completionMode", "onExitCodes", "mountPath", "memory"} <= written
    assert written <= set(keys(kubernetes_job()))


def keys(value: Any) -> Iterator[str]:
    """Yield the names of all fields in ``value``."""
    if isinstance(value, dict):
        yield from value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from keys(inner)


def test_command_lines_of_the_readme_are_understood() -> None:
    lines = re.findall(rf"^    .*?{PROGRAM} (.+)$", (NIGHTLY / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert [understood(shlex.split(line))["dry_run"] for line in lines] == [True]


def test_every_file_is_in_the_table_of_the_readme() -> None:
    text = (NIGHTLY / "README.md").read_text(encoding="utf-8")
    assert not [path.name for path in NIGHTLY.iterdir() if path.name != "README.md" and f"`{path.name}`" not in text]
