"""What scripts/setup.sh does on a fresh machine: stand-ins for apt, Python and pip keep what they were asked."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SETUP = Path(__file__).parent.parent / "scripts" / "setup.sh"

PYTHON = f"""#!/bin/sh
echo "python $*" >>"$CALLS"
case "$1 $2" in
    "-m venv")
        rm -rf "$4"; mkdir -p "$4/bin"
        echo "VIRTUAL_ENV=$PWD/$4" >"$4/bin/activate"
        : >"$4/bin/pip"; chmod +x "$4/bin/pip"
        sed "s/^VERSION=.*/VERSION='$VERSION'/" "$0" >"$4/bin/python"; chmod +x "$4/bin/python" ;;
    "-m pip") exit "${{PIP_ENDS:-0}}" ;;
    "-c "*version_info\\[:2\\]*) echo "$VERSION" ;;
    *) exec "{sys.executable}" "$@" ;;
esac
"""
"""Makes an environment of one file each and installs nothing; of the version `VERSION`."""

APT = """#!/bin/sh
echo "apt-get $*" >>"$CALLS"
case "$*" in
    *download*) [ -z "$OLD_LISTS" ] || case "$*" in *lists=*) ;; *) exit 100 ;; esac; cp "$DEBS"/*.deb . ;;
    *--simulate*) printf 'Inst libsmall (1 Here)\\nInst small (1 Here)\\nConf small (1 Here)\\n' ;;
    *update*) [ -z "$UPDATE_FAILS" ] || { echo "E: a source is broken"; exit 100; } ;;
    *install*) [ -z "$APT_FAILS" ] || { echo "E: no such package"; exit 100; } ;;
esac
"""


class Machine:
    """A checkout with a space in its path, and the programs that its scripts would find."""

    def __init__(self, folder: Path) -> None:
        self.checkout = folder / "my checkout"
        self.checkout.mkdir()
        for name in ("requirements.lock", "requirements-dev.lock", "setup.cfg", "pyproject.toml"):
            (self.checkout / name).write_text(f"# {name}\n")
        self.folder = folder
        self.programs = folder / "bin"
        self.programs.mkdir()
        self._calls = folder / "calls"
        self._calls.touch()
        self.program("python3", PYTHON.replace("\n", "\nVERSION='3 11'\n", 1))
        self.program("apt-get", APT)
        self.program("dpkg-query", "#!/bin/sh\nfor name; do case $name in here|libt64) echo installed ;; esac; done\n")
        self.user(0)

    def program(self, name: str, text: str) -> None:
        path = self.programs / name
        path.write_text(text)
        path.chmod(0o755)

    def user(self, number: int) -> None:
        self.program("id", f"#!/bin/sh\necho {number}\n")

    def run(self, command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """`command` after setup.sh, as the scripts do it; `called` is then what it asked of the programs."""
        self._calls.write_text("")
        return subprocess.run(
            ["bash", "-c", f'set -euo pipefail; . "{SETUP}"; {command}'],
            cwd=self.checkout,
            env={
                "PATH": f"{self.programs}:/usr/bin:/bin",
                "CALLS": str(self._calls),
                "HOME": str(self.folder),
                "PYTHON": "python3",
                **environment,
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def called(self, words: str) -> list[str]:
        """What was asked with these words in it, oldest first."""
        return [line for line in self._calls.read_text().splitlines() if words in line]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_only_packages_that_are_missing_are_installed(machine: Machine) -> None:
    done = machine.run("setup_apt here absent")
    assert done.returncode == 0, done.stderr
    assert done.stderr == "installing absent\n"
    assert [line.split()[-1] for line in machine.called("install")] == ["absent"]


def test_a_library_under_its_new_name_is_not_missing(machine: Machine) -> None:
    assert machine.run("setup_apt here lib").stderr == ""
    assert machine.called("apt-get") == []


def test_package_lists_are_fetched_once(machine: Machine) -> None:
    machine.run("setup_apt absent; setup_apt other")
    assert len(machine.called("update")) == 1
    assert len(machine.called("install")) == 2


def test_a_broken_source_of_packages_does_not_keep_others_from_being_installed(machine: Machine) -> None:
    done = machine.run("setup_apt absent", UPDATE_FAILS="yes")
    assert done.returncode == 0
    assert "E: a source is broken\ngoing on with the package lists that are here\n" in done.stderr
    assert len(machine.called("install")) == 1


def test_without_root_nothing_is_installed_and_the_command_for_root_is_named(machine: Machine) -> None:
    machine.user(1000)
    done = machine.run("setup_apt here absent other; echo went on")
    assert done.stdout == "went on\n"
    assert done.stderr == "going on without what only root can install: apt-get install absent other\n"
    assert machine.called("apt-get") == []


def test_apt_says_why_it_failed_and_the_script_ends(machine: Machine) -> None:
    done = machine.run("setup_apt absent; echo went on", APT_FAILS="yes")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "E: no such package" in done.stderr
    assert "apt-get could not install absent" in done.stderr


def test_an_environment_is_made_once(machine: Machine) -> None:
    first = machine.run("setup_venv .venv")
    assert first.returncode == 0, first.stderr
    assert len(machine.called("-m venv")) == 1
    assert len(machine.called("-r requirements.lock")) == 1
    assert len(machine.called("--no-deps -e .")) == 1
    again = machine.run("setup_venv .venv")
    assert again.stderr == ""
    assert machine.called("-m") == []


def test_an_environment_of_another_checkout_behind_a_link_is_left_whole(machine: Machine) -> None:
    theirs = machine.folder / "theirs"
    theirs.mkdir()
    (theirs / "kept").touch()
    (machine.checkout / ".venv").symlink_to(theirs)
    done = machine.run("setup_venv .venv")
    assert done.returncode == 0, done.stderr
    assert (theirs / "kept").exists()
    assert not (machine.checkout / ".venv").is_symlink()


def test_changed_dependencies_are_installed_into_the_same_environment(machine: Machine) -> None:
    machine.run("setup_venv .venv")
    (machine.checkout / "requirements.lock").write_text("numpy==9\n")
    machine.run("setup_venv .venv")
    assert machine.called("-m venv") == []
    assert len(machine.called("-r requirements.lock")) == 1


def test_an_installation_that_failed_is_tried_again(machine: Machine) -> None:
    assert machine.run("setup_venv .venv; echo went on", PIP_ENDS="1").stdout == ""
    machine.run("setup_venv .venv")
    assert machine.called("-m venv") == []
    assert len(machine.called("-r requirements.lock")) == 1


def test_what_checks_holds_what_runs(machine: Machine) -> None:
    machine.run("setup_venv .venv dev")
    assert len(machine.called("-r requirements-dev.lock")) == 1
    machine.run("setup_venv .venv; setup_venv .venv dev")
    assert machine.called("-m") == []


def test_an_environment_of_a_checkout_that_was_moved_is_made_anew(machine: Machine) -> None:
    machine.run("setup_venv .venv")
    machine.checkout = machine.checkout.rename(machine.folder / "moved")
    machine.run("setup_venv .venv")
    assert len(machine.called("-m venv")) == 1
    assert len(machine.called("-r requirements.lock")) == 1


def test_an_environment_whose_making_was_interrupted_is_made_anew(machine: Machine) -> None:
    machine.run("setup_venv .venv", PIP_ENDS="1")
    (machine.checkout / ".venv" / "bin" / "pip").unlink()  # the last thing that is made
    machine.run("setup_venv .venv")
    assert len(machine.called("-m venv")) == 1


def test_an_environment_whose_python_is_gone_is_made_anew(machine: Machine) -> None:
    machine.run("setup_venv .venv")
    (machine.checkout / ".venv" / "bin" / "python").unlink()
    machine.run("setup_venv .venv")
    assert len(machine.called("-m venv")) == 1


def test_another_python_makes_the_environment_anew_and_the_same_one_does_not(machine: Machine) -> None:
    machine.run("setup_venv .venv")
    machine.program("other", PYTHON.replace("\n", "\nVERSION='3 12'\n", 1))
    machine.run("setup_venv .venv", PYTHON="other")
    assert len(machine.called("-m venv")) == 1
    machine.run("setup_venv .venv", PYTHON="other")
    assert machine.called("-m venv") == []


def test_a_python_that_is_too_old_or_absent_ends_in_a_sentence(machine: Machine) -> None:
    machine.user(1000)
    machine.program("old", "#!/bin/sh\nexit 1\n")
    for python in ("old", "absent"):
        done = machine.run("setup_venv .venv; echo went on", PYTHON=python)
        assert done.returncode == 1
        assert done.stdout == ""
        assert done.stderr == f"PYTHON={python} is no Python 3.10 or newer with venv: name another, or none\n"


@pytest.fixture
def packages(machine: Machine) -> Machine:
    """With package files to fetch: `small` and the library it needs."""
    if shutil.which("dpkg-deb") is None:
        pytest.skip("dpkg-deb is not here: not a Debian or Ubuntu machine")
    machine.user(1000)
    debs = machine.folder / "debs"
    debs.mkdir()
    for name, file in (("small", "usr/sbin/small"), ("libsmall", "usr/lib/here/libsmall.so.1")):
        root = machine.folder / name
        (root / "DEBIAN").mkdir(parents=True)
        (root / "DEBIAN").chmod(0o755)
        control = f"Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: nobody\nDescription: small\n"
        (root / "DEBIAN" / "control").write_text(control)
        (root / file).parent.mkdir(parents=True)
        (root / file).write_text("#!/bin/sh\n")
        (root / file).chmod(0o755)
        subprocess.run(["dpkg-deb", "--root-owner-group", "-b", root, debs], check=True, capture_output=True)
    return machine


@pytest.mark.parametrize("lists", ["good", "old"])
def test_a_package_is_unpacked_with_its_libraries_also_where_the_package_lists_are_old(
    packages: Machine, lists: str
) -> None:
    old = "yes" if lists == "old" else ""
    done = packages.run("unpack small 'a folder'", DEBS=str(packages.folder / "debs"), OLD_LISTS=old)
    assert done.returncode == 0, done.stderr
    assert (packages.checkout / "a folder" / "usr" / "lib" / "here" / "libsmall.so.1").is_file()
    assert len(packages.called("update")) == (1 if old else 0)
    assert packages.called("download")[-1].endswith("libsmall small")


def test_a_package_that_cannot_be_fetched_ends_in_a_sentence_and_leaves_nothing(machine: Machine) -> None:
    machine.user(1000)
    machine.program("apt-get", "#!/bin/sh\necho 'E: no network' >&2\nexit 100\n")
    done = machine.run("unpack small folder; echo went on", TMPDIR=str(machine.folder))
    assert done.returncode == 1
    assert done.stdout == ""
    assert "E: no network\nsmall could not be fetched: mend that, or as root: apt-get install small\n" in done.stderr
    assert not (machine.checkout / "folder").exists()
    assert list(machine.folder.glob("tmp.*")) == []


def test_ansi_colours_stay_out_of_logs_and_the_makers_of_our_engine_are_told_nothing(machine: Machine) -> None:
    done = machine.run("step naming true; echo $ORT_DISABLE_TELEMETRY")
    assert done.stderr.startswith("== naming\n")
    assert done.stdout == "1\n"


def test_the_test_command_knows_its_functions_before_it_calls_them() -> None:
    text = SETUP.with_name("test").read_text()
    functions = list(re.finditer(r"^(\w+)\(\) \{.*?^\}$", text, re.MULTILINE | re.DOTALL))
    outside = text
    for each in functions:
        outside = outside[: each.start()] + " " * len(each[0]) + outside[each.end() :]
    for each in functions:
        called = re.search(rf"^[^#]*\b{each[1]}\b", outside, re.MULTILINE)
        assert called is None or called.end() > each.end(), f"{each[1]} is called before it is defined"
