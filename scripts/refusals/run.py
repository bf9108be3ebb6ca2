"""Run one case, in a process of its own, until somebody answers."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from scripts.refusals.case import Case, Outcome, Stage
from scripts.refusals.ground import FAKE_GPU, REPOSITORY, Ground, driver_folder
from scripts.refusals.serve import LOST, serve

MOST_STARTS = 5
_PATIENCE_S = 60.0


def outcome(case: Case, ground: Ground) -> Outcome:
    """A process that loses the GPU is started again, as systemd would; the fourth start leaves
    the GPU alone."""
    with tempfile.TemporaryDirectory(prefix="refusal-") as scratch:
        folder = Path(scratch)
        folder.chmod(0o755)
        stage = ground.stage(folder, pictures=case.pictures)
        statuses: list[int] = []
        sentences: list[str] = []
        noise: list[str] = []
        told: dict[str, str] = {"engine": "", "sentence": ""}
        while not told["engine"] and len(statuses) < MOST_STARTS:
            start = _fresh if case.fresh else _forked
            status, told, said = start(case, stage)
            statuses.append(status)
            noise.append(said)
            if told["sentence"] and told["sentence"] not in sentences:
                sentences.append(told["sentence"])
            if status not in (0, LOST) and not case.kills:
                break
        said = " Then: ".join(sentences).replace(scratch, "…")
        return Outcome(case, said, told["engine"], tuple(statuses), "".join(noise))


def _forked(case: Case, stage: Stage) -> tuple[int, dict[str, str], str]:
    """In a copy of this process, which has everything loaded and nothing open."""
    answer, errors = stage.folder / "answer", stage.folder / "errors"
    answer.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        _in_the_child(case, stage, answer, errors)
    _, status = os.waitpid(child, 0)
    told = json.loads(answer.read_text()) if answer.exists() else {"engine": "", "sentence": ""}
    return os.waitstatus_to_exitcode(status), told, errors.read_text(errors="replace")


def _in_the_child(case: Case, stage: Stage, answer: Path, errors: Path) -> None:
    """Never returns. Ends through C's `exit`, so that the driver's and PyCUDA's own ends are run as well."""
    status = 70
    try:
        os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666), 2)
        os.environ.update(case.environment)
        case.prepare(stage)
        told = serve(stage.recipe, pictures=stage.pictures)
        answer.write_text(json.dumps(told))
        status = 0 if told["engine"] else LOST
    except BaseException as error:  # the child must end here, whatever it was
        os.write(2, f"{type(error).__name__}: {error}\n".encode())
    finally:
        ctypes.CDLL(None).exit(status)


def _fresh(case: Case, stage: Stage) -> tuple[int, dict[str, str], str]:
    modules = stage.folder / "modules"
    for name, text in case.modules.items():
        path = modules / f"{name.replace('.', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    libraries = stage.folder / "libraries"
    libraries.mkdir(exist_ok=True)
    case.prepare(stage)
    ended = subprocess.run(
        [sys.executable, "-m", "scripts.refusals.serve", str(stage.recipe.network), str(stage.recipe.options.folder)],
        capture_output=True,
        text=True,
        timeout=_PATIENCE_S,
        cwd=REPOSITORY,
        env=os.environ
        | {"LD_LIBRARY_PATH": str(libraries if any(libraries.iterdir()) or not case.modules else driver_folder())}
        | {"PYTHONPATH": os.pathsep.join(map(str, (modules, FAKE_GPU / "bindings", REPOSITORY)))}
        | dict(case.environment),
    )
    told = json.loads(ended.stdout) if ended.stdout else {"engine": "", "sentence": ""}
    return ended.returncode, told, ended.stderr
