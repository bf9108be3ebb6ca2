"""The ledger of what came from afar, for a command: its troubles are the command's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.cli.errors import Failed

if TYPE_CHECKING:
    from appliance.sync.ledger import Ledger


@contextmanager
def ledger_at(path: Path) -> Iterator[Ledger]:
    """Open until the block ends; raises Failed when it, or what is done with it, cannot be read or written."""
    from appliance.sync.ledger import Ledger, LedgerError

    try:
        with Ledger(path) as ledger:
            yield ledger
    except (LedgerError, OSError) as error:
        raise Failed(str(error)) from error
