"""`appliance doctor`: what is wrong here, and how to mend it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click


@click.command()
@click.option("--config", "path", type=click.Path(path_type=Path), help="Look at this configuration as well.")
@click.option("--json", "as_json", is_flag=True, help="The findings as JSON.")
def doctor(path: Path | None, as_json: bool) -> None:
    """Look at what the appliance needs here; exit code 1 when something must be mended.

    Engines, cameras, microphones, temperature, power, clock and disk; with --config also the level of its microphones,
    its models, its broker with certificates, and who may read its secrets. Where a configuration from afar is in force,
    that one is judged. Each line that is not fine says what to do.
    """
    from appliance.doctor import examine

    findings = examine(path)
    problems = [finding for finding in findings if finding.state == "problem"]
    if as_json:
        click.echo(json.dumps({"ok": not problems, "findings": [asdict(f) for f in findings]}, indent=2))
    else:
        marks = {"ok": ("✓", "green"), "note": ("·", "yellow"), "problem": ("✗", "red")}
        for finding in findings:
            mark, colour = marks[finding.state]
            click.echo(f"{click.style(mark, fg=colour)} {finding.subject}: {finding.text}")
            if finding.fix:
                click.echo(f"    → {finding.fix}")
    if problems:
        words = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        click.echo(f"{words} found; each line above says what to do", err=True)
        raise click.exceptions.Exit(1)
