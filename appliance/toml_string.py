"""A text as it stands in a TOML file that we write."""

from __future__ import annotations

import json


def toml_string(text: str) -> str:
    """With its quotes; JSON's escapes are among TOML's."""
    return json.dumps(text, ensure_ascii=False)
