"""Trainings that die while they write: killed, or on a full disk; real processes and real errors of the kernel."""

import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from tiny_runs import Keyframes, recipe

from vexkd.config import dump_config
from vexkd.plugins.files import DiskFullError, leftovers, replacing, write_text
from vexkd.training.callbacks import RunLog, SaveRun
from vexkd.training.run import load_run
from vexkd.training.train import train

HERE = Path(__file__).parent
CONFIG = recipe(epochs=3, ema=0.9)


def train_in_memory(out: Path) -> None:
    """``vexkd train`` on the keyframes in memory, as the fixture ``in_memory`` arranges it, in a process of its own."""
    from vexkd.cli.app import main
    from vexkd.training import train as module

    module.open_dataset = lambda *args: Keyframes()
    module.evaluate_model = lambda *args, **kwargs: {"mAP": 0.25}
    recipe_file = out.with_name("recipe.yaml")
    recipe_file.write_text(dump_config(CONFIG))
    main(["train", str(recipe_file), "--out", str(out)])


def hang_halfway_through(name: str, out: Path) -> None:
    """Train; the second file of that name stops growing halfway, which is told on stdout."""
    whole, met = Path.write_bytes, []

    def half(self: Path, content: bytes | memoryview) -> int:
        met.extend([self] * (name in self.name))
        if len(met) < 2:
            return whole(self, content)
        written = whole(self, content[: len(content) // 2])
        print("half", flush=True)
        time.sleep(600)
        return written

    Path.write_bytes = half
    train_in_memory(out)


def run_out_of_space(how: str, out: Path) -> None:
    """Train; before the second epoch is saved, the disk gets full or the user's limit on files too low."""
    save = SaveRun.on_train_epoch_end

    def save_at_last(self: SaveRun, trainer, stage) -> None:
        if trainer.current_epoch == 1 and how == "limit":
            resource.setrlimit(resource.RLIMIT_FSIZE, ((out / "last.ckpt").stat().st_size // 2,) * 2)
        elif trainer.current_epoch == 1:
            fill(out.with_name("filler"))
        save(self, trainer, stage)

    SaveRun.on_train_epoch_end = save_at_last
    train_in_memory(out)


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return


def program(function: str, how: str, out: Path) -> list[str]:
    """A command that calls one of the functions above."""
    code = f"from pathlib import Path; import test_interrupted as t; t.{function}({how!r}, Path({str(out)!r}))"
    return [sys.executable, "-c", code]


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (HERE, HERE.parent, HERE.parents[1])))}


def last_epoch(out: Path) -> int:
    return torch.load(out / "last.ckpt", weights_only=True)["epoch"]


def check_that_resuming_ends_like(whole: Path, out: Path) -> None:
    load_run(out)
    assert train(CONFIG, out, resume=True, progress=False)["resumed"]
    assert leftovers(out) == []
    train(CONFIG, whole, progress=False)
    for name in ("model.safetensors", "log.jsonl"):
        assert (out / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.usefixtures("in_memory")
@pytest.mark.parametrize(("name", "saved"), [("last.ckpt", 0), ("model.safetensors", 1)])
def test_a_run_killed_while_it_writes_goes_on_from_its_last_whole_checkpoint(name, saved, out, tmp_path):
    command = program("hang_halfway_through", name, out)
    with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert any(line.strip().endswith("half") for line in process.stdout), "it ended before it was killed"
        process.kill()
    (half,) = leftovers(out)
    assert half.name.startswith(f".{name}.") and 0 < half.stat().st_size < (out / name).stat().st_size
    assert last_epoch(out) == saved
    check_that_resuming_ends_like(tmp_path / "whole", out)


def told(process: subprocess.CompletedProcess[str], out: Path, reason: str) -> None:
    line = f"vexkd: {out / 'last.ckpt'} cannot be written ({reason}); free space there and go on with --resume\n"
    assert (process.returncode, process.stderr) == (2, line)


@pytest.mark.usefixtures("in_memory")
def test_a_file_that_grows_over_the_limit_is_told_in_one_line(out, tmp_path):
    command = program("run_out_of_space", "limit", out)
    told(subprocess.run(command, env=environment(), capture_output=True, text=True), out, "File too large")
    assert leftovers(out) == [] and last_epoch(out) == 0
    check_that_resuming_ends_like(tmp_path / "whole", out)


@pytest.mark.usefixtures("in_memory")
def test_a_full_disk_is_told_in_one_line(out, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    # A small disk of its own, in a name space where mounting needs no rights; it is gone with the shell.
    mount = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    script = 'mount -t tmpfs -o size=4m none "$0" || exit 77; "$@"; code=$?; cp -r "$0/run" "$0/.."; exit $code'
    try:
        subprocess.run([*mount, script, str(disk), "mkdir", str(disk / "run")], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a small disk is not allowed here")
    out.rmdir()
    command = [*mount, script, str(disk), *program("run_out_of_space", "disk", disk / "run")]
    told(subprocess.run(command, env=environment(), capture_output=True, text=True), disk / "run", os.strerror(28))
    assert leftovers(out) == [] and last_epoch(out) == 0
    check_that_resuming_ends_like(tmp_path / "whole", out)


def test_a_log_without_room_is_named(tmp_path):
    log = RunLog(tmp_path)
    log.path = Path("/dev/full")
    with pytest.raises(DiskFullError, match=r"^/dev/full cannot be written \(No space left on device\); free space"):
        log.write(SimpleNamespace(global_step=10, current_epoch=0), {"loss": 1.0})


def test_content_is_on_the_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    done = []
    rename = Path.replace
    monkeypatch.setattr(os, "fsync", lambda handle: done.append(Path(os.readlink(f"/proc/self/fd/{handle}"))))
    monkeypatch.setattr(Path, "replace", lambda self, target: (done.append("rename"), rename(self, target)))
    write_text(tmp_path / "note.txt", "content")
    assert done[0].name.startswith(".note.txt.partial-") and done[1:] == ["rename", tmp_path]
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]


def test_a_failure_keeps_the_old_file_and_other_errors_stay_themselves(tmp_path):
    write_text(tmp_path / "note.txt", "old")
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "note.txt") as temporary:
        temporary.write_text("new")
        (tmp_path / "nothing").read_text()
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]
