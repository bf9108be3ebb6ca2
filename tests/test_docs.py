"""Words are tested too: documents agree with the code, commands in them exist, links lead somewhere."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from appliance.cli import COMMANDS, main

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def commands_in(text: str) -> list[str]:
    """Every `appliance …` line of the code blocks, continuation and comment removed."""
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    lines = [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith("appliance ")]


README_COMMANDS = commands_in((ROOT / "README.md").read_text(encoding="utf-8"))


def test_what_is_read_off_the_code_is_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "generate_docs"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_command_on_a_page_is_one_that_exists(page: Path) -> None:
    for line in commands_in(page.read_text(encoding="utf-8")):
        words = shlex.split(re.split(r"[|>]", line)[0])[1:]
        group: click.Command = main
        with click.Context(main) as context:
            while isinstance(group, click.Group):
                command = group.get_command(context, words[0])
                assert command is not None, line
                group, words = command, words[1:]
            with click.Context(group, parent=context) as below:
                group.parse_args(below, words)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_readme_names_every_command_or_its_page_does() -> None:
    listed = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    for name in COMMANDS:
        assert f"`appliance {name}`" in listed


def test_the_readme_has_the_two_commands_and_the_five_lines() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "scripts/demo" in text
    assert "scripts/test" in text
    assert len([line for line in README_COMMANDS if not line.startswith("appliance predict")]) == 5


@pytest.mark.parametrize(
    "script",
    [
        "scripts/demo",
        "scripts/test",
        "scripts/bench",
        "scripts/check_wheels",
        "scripts/check_tensorrt",
        "scripts/fuzz",
        "scripts/soak",
        "scripts/package",
        "scripts/check_arm64",
        "scripts/gpu_check",
        "scripts/torture",
        ".ci/run",
    ],
)
def test_a_script_is_executable_and_sound_shell(script: str) -> None:
    path = ROOT / script
    assert path.stat().st_mode & 0o111, f"{script} is not executable"
    subprocess.run(["bash", "-n", str(path)], check=True)


def test_every_top_level_entry_is_one_that_belongs() -> None:
    listed = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True, cwd=ROOT).stdout.split()
    assert {name.split("/")[0] for name in listed} <= {
        ".ci", ".gitignore", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "README.md", "SECURITY.md", "appliance",
        "capture", "docs", "engines", "pyproject.toml", "requirements-dev.lock", "requirements.lock", "scripts",
        "setup.cfg", "systemd", "tests",
    }  # fmt: skip


def test_every_program_help_says_what_it_does() -> None:
    for name in COMMANDS:
        with click.Context(main) as context:
            command = main.get_command(context, name)
            assert command is not None
            assert command.help, name
