"""Who may look: the bearer of the password gets a cookie, programs send a token.

A cookie says until when it counts and is signed with a key made of the password (scrypt), so it survives a restart of
the appliance and dies with the password.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable

from appliance.config_errors import ConfigError
from appliance.oip.guard import is_bearer

SHORTEST = 8
"""Characters of a password."""
SESSION_S = 14 * 24 * 3600
COOKIE = "appliance_page"
FREE_TRIES = 5
"""Wrong passwords from one address until it has to wait."""
LONGEST_WAIT_S = 60.0
ADDRESSES = 256
"""Whose wrong passwords are remembered."""
_SALT = b"edge-inference-appliance page session"


class Door:
    """Of the event loop. Without a password it is open to everybody who can reach it."""

    def __init__(
        self,
        password: str | None,
        token: str | None = None,
        now_s: Callable[[], float] = time.time,
        steady_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """`now_s`: the wall clock, `steady_s`: one that never jumps. Raises ConfigError for a short password."""
        if password is not None and len(password) < SHORTEST:
            raise ConfigError(f"[page]: password_file: at least {SHORTEST} characters are needed")
        self.locked = password is not None
        self._password = (password or "").encode()
        self._token = token
        self._now_s = now_s
        self._steady_s = steady_s
        self._key = hashlib.scrypt(self._password, salt=_SALT, n=2**14, r=8, p=1) if self.locked else b""
        self._wrong: OrderedDict[str, tuple[int, float]] = OrderedDict()
        """By address: wrong passwords in a row, and when it may try again."""
        self._ended: OrderedDict[str, None] = OrderedDict()
        """Cookies that were handed back before their time."""

    def wait_s(self, address: str) -> float:
        """How long this address has to wait before it may try a password; 0 when it need not."""
        _, until_s = self._wrong.get(address, (0, 0.0))
        return max(0.0, until_s - self._steady_s())

    def opens(self, password: str, address: str) -> bool:
        """Whether this is the password. Wrong ones make their address wait, longer each time."""
        if hmac.compare_digest(password.encode("utf-8", "surrogatepass"), self._password) and self.locked:
            self._wrong.pop(address, None)
            return True
        tries = self._wrong.pop(address, (0, 0.0))[0] + 1
        wait_s = 0.0 if tries < FREE_TRIES else min(LONGEST_WAIT_S, 2.0 ** min(tries - FREE_TRIES, 10))
        self._wrong[address] = (tries, self._steady_s() + wait_s)
        while len(self._wrong) > ADDRESSES:
            self._wrong.popitem(last=False)
        return False

    def new_cookie(self) -> str:
        """The value of a cookie that counts for SESSION_S."""
        words = f"{int(self._now_s()) + SESSION_S}.{secrets.token_urlsafe(12)}"
        return f"{words}.{self._signed(words)}"

    def end(self, cookie: str) -> None:
        """It counts no more; a restart forgets that."""
        if self.admits(cookie, None):
            self._ended[cookie] = None
            while len(self._ended) > ADDRESSES:
                self._ended.popitem(last=False)

    def admits(self, cookie: str | None, authorization: str | None) -> bool:
        """Whether a request with these may see and do everything."""
        if not self.locked:
            return True
        if self._token is not None and authorization is not None and is_bearer(authorization, self._token):
            return True
        words, _, signature = (cookie or "").rpartition(".")
        if not hmac.compare_digest(signature.encode("utf-8", "surrogatepass"), self._signed(words).encode()):
            return False
        until = words.partition(".")[0]
        return until.isdecimal() and self._now_s() < int(until) and cookie not in self._ended

    def _signed(self, words: str) -> str:
        return hmac.new(self._key, words.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
