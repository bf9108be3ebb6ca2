"""The workbench's commands, with a library and a folder of their own."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner, Result

from appliance.cli import main


class Bench:
    """Runs `appliance models …`."""

    def __init__(self, folder: Path) -> None:
        self.library = folder / "library"
        self.out = folder / "out"

    def __call__(self, *arguments: object) -> Result:
        environment = {"APPLIANCE_MODELS": str(self.library), "COLUMNS": "160"}
        return CliRunner().invoke(main, ["models", *map(str, arguments)], env=environment)

    def fine(self, *arguments: object) -> str:
        result = self(*arguments)
        assert result.exit_code == 0, result.output
        return result.stdout

    def refused(self, *arguments: object, code: int = 2) -> str:
        """The sentence on standard error; nothing is left behind."""
        result = self(*arguments)
        assert result.exit_code == code, result.output
        assert isinstance(result.exception, SystemExit)
        assert not self.out.exists()
        sentence = result.stderr.strip().splitlines()[-1]
        assert sentence.startswith("Error: ")
        return sentence.removeprefix("Error: ")
