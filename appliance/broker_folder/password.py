"""Passwords as mosquitto keeps them: `$7$`, PBKDF2 with SHA-512 (mosquitto_passwd(1))."""

from __future__ import annotations

import hashlib
import secrets
from base64 import b64encode

ROUNDS = 1000
"""Our passwords are 192 random bits, which nobody guesses; more rounds would only slow the broker down."""


def new_password() -> str:
    """32 characters that need no quoting."""
    return secrets.token_urlsafe(24)


def hashed(password: str) -> str:
    """What stands behind the name in mosquitto's password file."""
    salt = secrets.token_bytes(12)
    key = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ROUNDS)
    return f"$7${ROUNDS}${b64encode(salt).decode()}${b64encode(key).decode()}"
