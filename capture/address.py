"""Addresses of sources as they may be shown: without user names, passwords and tokens."""

from __future__ import annotations

import re

HIDDEN = "***"

_SECRET = re.compile(
    r"(?P<key>(?:^|[/?&;_.])"
    r"(?:user|username|usr|login|pass|passwd|password|pwd|token|access_token|secret|key|api_?key|auth|signature|sig)=)"
    r"(?P<value>.*?)(?=[&;]|_[a-z]+=|$)",
    re.IGNORECASE,
)
"""Credentials outside the user part: `?user=x&password=x`, and `/user=x_password=x_channel=1` of some cameras."""

_LOCAL = ("camera", "csi", "file", "images", "scene", "mic", "wav")


def redacted(uri: str) -> str:
    """`uri` with every credential replaced by `***`; addresses of local devices and files stay as they are.

    When in doubt it hides too much: a password may itself contain `@`, `/` or `?`, so everything between `//` and the
    last `@` goes.
    """
    scheme, slashes, rest = uri.partition("//")
    if not slashes:
        return uri if uri.partition(":")[0] in _LOCAL else _hidden(uri)
    return f"{scheme}//{_hidden(rest)}"


def _hidden(text: str) -> str:
    text = _SECRET.sub(lambda found: found["key"] + HIDDEN, text)
    _, at, place = text.rpartition("@")
    return f"{HIDDEN}@{place}" if at else text
