"""The files in examples/nightly: whole in the eyes of those who read them, and every command line in them ours."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from cli import CONFIGURED
from pipeline.archive.run_options import Shard
from pipeline.commands import archive, video
from tests.commands import PATIENCE, ROOT
from tests.engines.tiny import write_tiny_model
from tests.photos import save, scene

pytestmark = pytest.mark.slow

NIGHTLY = ROOT / "examples" / "nightly"
PROGRAM = "/opt/autochrome/bin/colorize-archive"
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
        timeout=PATIENCE,
        check=False,
    )


def understood(words: list[str]) -> dict[str, Any]:
    """Parse the words behind ``colorize-archive``; the example's settings stand for those in /etc."""
    words = [str(NIGHTLY / "autochrome.toml") if word == "/etc/autochrome.toml" else word for word in words]
    with get_command(archive.commands).make_context("colorize-archive", words, obj=CONFIGURED) as context:
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
    with get_command(command).make_context("colorize", words, obj=CONFIGURED) as context:
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
    assert values["output"] == Path("/srv/archive/scans-colorized")
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
    rules = yaml_of("kubernetes-cronjob.yaml")["spec"]["jobTemplate"]["spec"]["podFailurePolicy"]["rules"]
    by_codes = [(rule["action"], rule["onExitCodes"]["values"]) for rule in rules if "onExitCodes" in rule]
    assert by_codes == [("FailIndex", sorted(map(int, NO_RETRY))), ("FailIndex", [3]), ("Ignore", [75])]


def yaml_of(name: str) -> Any:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    return yaml.safe_load((NIGHTLY / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["kubernetes-cronjob.yaml", "kubernetes-report.yaml"])
def test_the_jobs_fit_the_schema_of_kubernetes(name: str) -> None:
    validator = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    validator.validate(yaml_of(name), "1.33", strict=True)
    broken = yaml_of(name)
    broken["spec"]["jobTemplate"]["spec"]["podFailurePolicy"]["rules"][0]["onExitCodes"]["values"] = ["three"]
    with pytest.raises(validator.ValidationError):
        validator.validate(broken, "1.33", strict=True)


def test_the_report_of_kubernetes_is_about_all_parts_by_the_same_settings(tmp_path: Path) -> None:
    shards, report = (
        yaml_of(name)["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        for name in ("kubernetes-cronjob.yaml", "kubernetes-report.yaml")
    )
    (container,) = report["containers"]
    assert container["command"] == ["colorize-archive"]
    assert understood(container["args"])["report_only"]
    (other,) = shards["containers"]
    assert report["volumes"] == [volume for volume in shards["volumes"] if volume["name"] != "cache"]
    settings = {"name": "AUTOCHROME_CONFIG", "value": "/etc/autochrome/autochrome.toml"}
    assert settings in container["env"]
    assert settings in other["env"]


def test_every_job_of_the_slurm_array_takes_its_part(recorder: Path, tmp_path: Path) -> None:
    bash = tool("bash")
    script = NIGHTLY / "slurm-array.sh"
    assert run(bash, "-n", script).returncode == 0
    text = script.read_text(encoding="utf-8")
    (count,) = re.findall(r"^#SBATCH --array=1-(\d+)$", text, re.MULTILINE)
    (tmp_path / "autochrome.toml").write_text("", encoding="utf-8")
    logs = set()
    for index in (1, int(count)):
        variables = {"SLURM_ARRAY_TASK_ID": str(index), "AUTOCHROME_ARCHIVE": str(tmp_path)}
        values = understood(recorded(recorder, bash, script, **variables))
        assert values["shard"] == Shard(index=index, count=int(count))
        assert values["folder"] == tmp_path / "scans"
        logs.add(values["log"])
    assert len(logs) == 2


def kubernetes_job() -> dict[str, Any]:
    """Return the CronJob as kubectl reads it, without a cluster; what kubectl does not know it leaves out."""
    words = ("set", "image", "--local", "-o", "json", "-f", NIGHTLY / "kubernetes-cronjob.yaml", "autochrome=an-image")
    done = run(tool("kubectl"), *words)
    assert done.returncode == 0, done.stderr
    job: dict[str, Any] = json.loads(done.stdout)
    return job


def kubernetes_pod(folder: Path) -> tuple[list[str], dict[str, str], int]:
    """Return the words that a pod runs, its variables with the archive in ``folder``, and the number of shards."""
    spec = kubernetes_job()["spec"]["jobTemplate"]["spec"]
    assert spec["completionMode"] == "Indexed"
    (container,) = spec["template"]["spec"]["containers"]
    variables = {variable["name"]: variable["value"] for variable in container["env"]}
    variables |= {"ARCHIVE": str(folder), "AUTOCHROME_CONFIG": str(NIGHTLY / "autochrome.toml")}
    return [*container["command"], *container["args"]], variables, spec["completions"]


def test_every_index_of_the_kubernetes_job_takes_its_part(recorder: Path, tmp_path: Path) -> None:
    words, variables, count = kubernetes_pod(tmp_path)
    for index in (0, count - 1):
        values = understood(recorded(recorder, *words, **variables, JOB_COMPLETION_INDEX=str(index)))
        assert values["shard"] == Shard(index=index + 1, count=count)
        assert values["folder"] == tmp_path / "scans"


def path_with(folder: Path, program: str) -> str:
    """Return a PATH on which ``colorize-archive`` is the shell script ``program``, written to ``folder``."""
    place = folder / "bin" / "colorize-archive"
    place.parent.mkdir(exist_ok=True)
    place.write_text(f"#!/bin/sh\n{program}\n", encoding="utf-8")
    place.chmod(0o755)
    return f"{place.parent}{os.pathsep}{os.environ['PATH']}"


@contextmanager
def wrapped(which: str, tmp_path: Path, program: str, **more: str) -> Iterator[subprocess.Popen[str]]:
    """Start the script of Slurm or Kubernetes with the shell script ``program`` for ``colorize-archive``."""
    path = path_with(tmp_path, program)
    if which == "slurm":
        words = [tool("bash"), str(NIGHTLY / "slurm-array.sh")]
        variables = {"SLURM_ARRAY_TASK_ID": "1", "AUTOCHROME_ARCHIVE": str(tmp_path)}
    else:
        words, variables, _ = kubernetes_pod(tmp_path)
        variables |= {"JOB_COMPLETION_INDEX": "0"}
    with subprocess.Popen(
        words,
        env={**os.environ, **variables, "PATH": path, **more},
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL),
    ) as started:
        yield started


@pytest.mark.parametrize("which", ["slurm", "kubernetes"])
@pytest.mark.parametrize(("code", "expected"), [(0, 0), (3, 0), (75, 0), (4, 4), (5, 5), (137, 137)])
def test_some_bad_scans_fail_no_job_and_what_is_wrong_does(
    tmp_path: Path, which: str, code: int, expected: int
) -> None:
    if (which, code) == ("kubernetes", 75):
        # The pod failure policy has it begun anew.
        expected = 75
    with wrapped(which, tmp_path, f"exit {code}") as job:
        assert job.wait(timeout=30) == expected


@pytest.mark.parametrize(("which", "expected"), [("slurm", 0), ("kubernetes", 143)])
def test_a_request_to_stop_reaches_the_program_and_is_waited_for(tmp_path: Path, which: str, expected: int) -> None:
    program = f"trap 'sleep 0.5; echo done >> {tmp_path}/finished; exit 143' TERM; touch {tmp_path}/begun\n"
    program += "while true; do sleep 0.1; done"
    with wrapped(which, tmp_path, program) as job:
        wait_for(tmp_path / "begun")
        job.send_signal(signal.SIGTERM)
        assert job.wait(timeout=30) == expected
    assert (tmp_path / "finished").read_text(encoding="utf-8") == "done\n"


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert path.exists()


def archive_in(folder: Path) -> Path:
    """Write four scans, one of them bad, and the settings with their paths in ``folder``; return the scans' folder."""
    scans = folder / "scans"
    scans.mkdir(parents=True)
    for name in "abc":
        save(scans / f"{name}.png", scene())
    (scans / "bad.png").write_text("no picture", encoding="utf-8")
    text = (NIGHTLY / "autochrome.toml").read_text(encoding="utf-8").replace("/srv/archive", str(folder))
    (folder / "autochrome.toml").write_text(text.replace("50 GB", "1 MB"), encoding="utf-8")
    return scans


def results_in(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "scans-colorized").glob("*.png"))


PROGRAM_HERE = f'PYTHONPATH={ROOT} exec {sys.executable} -c "import cli; cli.archive()" "$@"'


def test_a_slurm_job_colours_its_part_by_the_settings_of_the_archive(tmp_path: Path) -> None:
    archive_in(tmp_path)
    script = (NIGHTLY / "slurm-array.sh").read_text(encoding="utf-8").replace("shards=16", "shards=1")
    (tmp_path / "array.sh").write_text(script, encoding="utf-8")
    model = write_tiny_model(tmp_path)
    done = run(
        *(tool("bash"), tmp_path / "array.sh"),
        PATH=path_with(tmp_path, PROGRAM_HERE),
        SLURM_ARRAY_TASK_ID="1",
        AUTOCHROME_ARCHIVE=str(tmp_path),
        AUTOCHROME_MODEL=str(model),
        AUTOCHROME_ENGINE="onnxruntime",
    )
    assert done.returncode == 0, done.stderr
    assert "some files cannot be coloured: the report names them" in done.stdout
    assert results_in(tmp_path) == ["a.png", "b.png", "c.png"]
    assert not (tmp_path / "scans-colorized" / "report.html").exists()
    assert (tmp_path / "logs" / "shard-1.jsonl").exists()


UID = 64321


@contextmanager
def open_folder() -> Iterator[Path]:
    """Give a new folder that every user may enter, unlike those of pytest."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_the_service_runs_as_an_unprivileged_user_who_may_write_where_systemd_lets_it() -> None:
    """What systemd does for the service is done by hand: PID 1 need not be systemd."""
    unshare, setpriv = tool("unshare"), tool("setpriv")
    if run(unshare, "--mount", "true").returncode != 0:
        pytest.skip("no mounts of its own here")
    reading = f"open({str(ROOT / 'cli.py')!r})"
    if run(setpriv, "--reuid", UID, "--clear-groups", sys.executable, "-c", reading).returncode != 0:
        pytest.skip("another user may not read the program")
    with open_folder() as base:
        archive_in(base)
        model = write_tiny_model(base)
        for path in base.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
        text = (NIGHTLY / "autochrome.service").read_text(encoding="utf-8")
        places = {"/srv/archive": str(base), "/var/": f"{base}/var/", "/etc/": f"{base}/"}
        text = re.sub("|".join(places), lambda found: places[found[0]], text)
        unit = dict(re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE))
        writable = [Path(unit["ReadWritePaths"])]
        for key, parent in (("LogsDirectory", "log"), ("StateDirectory", "lib"), ("CacheDirectory", "cache")):
            writable.append(base / "var" / parent / unit[key])
        for folder in writable:
            folder.mkdir(parents=True)
            os.chown(folder, UID, UID)
        program, *words = shlex.split(unit["ExecStart"])
        assert program == PROGRAM
        script = "".join(f"mount --bind {folder} {folder}\n" for folder in writable)
        script += "mount -t tmpfs -o mode=1777 tmpfs /tmp\nmount -o remount,bind,ro /\n"
        script += f'exec {setpriv} --reuid {UID} --regid {UID} --clear-groups --no-new-privs "$@"'
        name, value = unit["Environment"].split("=")
        environment = {name: value, "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "AUTOCHROME_MODEL": str(model)}
        done = subprocess.run(
            [
                *(unshare, "--mount", "--propagation", "private", "sh", "-ec", script, "sh"),
                *(sys.executable, "-c", "import cli; cli.archive()", *words),
            ],
            env={**environment, "AUTOCHROME_ENGINE": "onnxruntime", "PYTHONDONTWRITEBYTECODE": "1"},
            cwd="/",
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 3, done.stderr
        assert str(done.returncode) in unit["SuccessExitStatus"].split()
        assert results_in(base) == ["a.png", "b.png", "c.png"]
        assert (base / "scans-colorized" / "report.html").stat().st_uid == UID
        assert "autochrome_run_exit_code" in (base / "var/lib/autochrome/autochrome.prom").read_text(encoding="utf-8")
        assert (base / "var/log/autochrome/archive.jsonl").exists()


def test_the_service_is_not_started_again_by_day() -> None:
    text = (NIGHTLY / "autochrome.service").read_text(encoding="utf-8")
    ((shell, option, condition),) = [
        shlex.split(line) for line in re.findall(r"^ExecCondition=(.+)$", text, re.MULTILINE)
    ]
    for hour, is_night in ((22, True), (23, True), (0, True), (5, True), (6, False), (12, False), (21, False)):
        asked = condition.replace("$(date +%%H)", f"{hour:02}")
        assert asked != condition
        assert (run(shell, option, asked).returncode == 0) is is_night


SLURM_CONF = """
ClusterName=test
SlurmctldHost=localhost
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CryptoType=crypto/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
ReturnToService=2
SlurmUser=root
SlurmctldPort=16817
SlurmdPort=16818
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmdSpoolDir={folder}/spool
StateSaveLocation={folder}/state
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
KillWait=60
MinJobAge=600
OverTimeLimit=0
SchedulerParameters=sched_min_interval=1
NodeName=localhost CPUs=2 RealMemory=4096 State=UNKNOWN
PartitionName=all Nodes=localhost Default=YES MaxTime=INFINITE State=UP OverSubscribe=FORCE:4
"""


@contextmanager
def slurm(folder: Path) -> Iterator[dict[str, str]]:
    """Run the daemons of Slurm on this machine, in ``folder``, and give the variables for its commands."""
    (folder / "slurm.conf").write_text(SLURM_CONF.format(folder=folder), encoding="utf-8")
    (folder / "spool").mkdir()
    (folder / "state").mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(64))
    key.chmod(0o600)
    variables = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
    munged = [tool("munged"), "-F", "--force", f"--socket={folder}/munge.socket", f"--key-file={key}"]
    munged += [f"--pid-file={folder}/munge.pid", f"--log-file={folder}/munge.log", f"--seed-file={folder}/munge.seed"]
    daemons = [munged, [tool("slurmctld"), "-D", "-c"], [tool("slurmd"), "-D", "-c", "-N", "localhost"]]
    with ExitStack() as stack:
        for words in daemons:
            daemon = stack.enter_context(subprocess.Popen(words, env=variables, stderr=subprocess.DEVNULL))
            stack.callback(daemon.terminate)
            time.sleep(1)
        yield variables


def states_of(job: str, variables: dict[str, str]) -> dict[str, str]:
    """Return the state and exit code of every task of an array."""
    done = run(tool("scontrol"), "-o", "show", "job", job, **variables)
    tasks = re.findall(r"(?:ArrayTaskId=(\d+).*?)? JobState=(\w+).*? ExitCode=(\d+:\d+)", done.stdout)
    return {task: f"{state} {code}" for task, state, code in tasks}


@pytest.mark.nightly
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run the daemons of Slurm")
def test_slurm_runs_the_array_and_an_orderly_stop_is_no_failure() -> None:
    with open_folder() as folder, slurm(folder) as variables:
        archive_in(folder)
        script = (NIGHTLY / "slurm-array.sh").read_text(encoding="utf-8")
        script = (
            script.replace("shards=16", "shards=2")
            .replace("--array=1-16", "--array=1-2")
            .replace("--mem=4G", "--mem=1G")
        )
        (folder / "array.sh").write_text(script, encoding="utf-8")
        script = (NIGHTLY / "slurm-report.sh").read_text(encoding="utf-8")
        (folder / "report.sh").write_text(script.replace("--mem=2G", "--mem=1G"), encoding="utf-8")
        variables |= {
            "PATH": path_with(folder, PROGRAM_HERE),
            "AUTOCHROME_ARCHIVE": str(folder),
            "AUTOCHROME_MODEL": str(write_tiny_model(folder)),
            "AUTOCHROME_ENGINE": "onnxruntime",
        }
        job = submitted(folder, variables)
        last = submitted(folder, variables, "report.sh", f"--dependency=afterany:{job}")
        assert ended(job, variables) == {"1": "COMPLETED 0:0", "2": "COMPLETED 0:0"}
        assert ended(last, variables) == {"": "COMPLETED 0:0"}
        assert "Not all is done" in (folder / f"autochrome-report-{last}.out").read_text(encoding="utf-8")
        assert "autochrome_shards" in (folder / "logs" / "autochrome.prom").read_text(encoding="utf-8")
        assert results_in(folder) == ["a.png", "b.png", "c.png"]
        report = (folder / "scans-colorized" / "report.html").read_text(encoding="utf-8")
        assert "Shard 1 of 2" in report
        assert "missing from this page" not in report

        stub = f"trap 'echo stopping; exit 143' TERM; echo begun; touch {folder}/begun-$4\n"
        path_with(folder, f"{stub}while true; do sleep 0.2; done")
        job = submitted(folder, variables)
        outputs = [folder / f"autochrome-{job}-{task}.out" for task in (1, 2)]
        for output in outputs:
            wait_for(output)
        # A job that is queued again keeps what it wrote before.
        assert run(tool("scontrol"), "requeue", f"{job}_1", **variables).returncode == 0
        deadline = time.monotonic() + PATIENCE
        while outputs[0].read_text(encoding="utf-8").count("begun") < 2 and time.monotonic() < deadline:
            time.sleep(0.5)
            run(tool("scontrol"), "release", f"{job}_1", **variables)
            run(tool("scontrol"), "update", f"JobId={job}_1", "StartTime=now", **variables)
        assert outputs[0].read_text(encoding="utf-8").count("begun") == 2
        # What --signal does ten minutes before the end of the time.
        assert run(tool("scancel"), "--batch", "--signal=TERM", job, **variables).returncode == 0
        assert ended(job, variables) == {"1": "COMPLETED 0:0", "2": "COMPLETED 0:0"}
        assert "submit the array again and it resumes" in outputs[1].read_text(encoding="utf-8")


def submitted(folder: Path, variables: dict[str, str], script: str = "array.sh", *options: str) -> str:
    done = run(tool("sbatch"), "--parsable", f"--chdir={folder}", *options, folder / script, **variables)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def ended(job: str, variables: dict[str, str]) -> dict[str, str]:
    """Wait until all tasks of an array ended and return their states."""
    deadline, states = time.monotonic() + PATIENCE, {}
    while time.monotonic() < deadline:
        states = states_of(job, variables)
        if states and not any(state.split()[0] in ("PENDING", "RUNNING", "COMPLETING") for state in states.values()):
            break
        time.sleep(0.5)
    return states


def test_kubectl_knows_every_field_of_the_job() -> None:
    text = (NIGHTLY / "kubernetes-cronjob.yaml").read_text(encoding="utf-8")
    text = re.sub(r"args:\n( +)- \|\n(?:\1    .*\n)+", "args: []\n", text)
    code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    written = set(re.findall(r"(?:^[ -]*|[{,] *)([a-zA-Z]+):(?= |$)", code, re.MULTILINE))
    assert {"completionMode", "onExitCodes", "mountPath", "memory", "concurrencyPolicy", "configMap"} <= written
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
