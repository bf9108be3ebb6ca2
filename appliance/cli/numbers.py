"""Numbers on the command line: NaN and infinity, which Python reads gladly, are no numbers of seconds or shares."""

from __future__ import annotations

from typing import Any

import click

LARGEST = 1e9
"""More than any thread can wait for in seconds (threading.TIMEOUT_MAX), more than anything here is measured in."""


class Number(click.FloatRange):
    """A finite number in a range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not -LARGEST <= number <= LARGEST:
            self.fail(f"{value} is not a number that can be used here.", param, ctx)
        return number
