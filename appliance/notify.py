"""Talks to systemd over its notification socket: sd_notify(3), datagrams of `KEY=value` lines."""

from __future__ import annotations

import os
import socket


class Notifier:
    """Silent where there is no systemd. The address is read once: children must not inherit the right to speak."""

    def __init__(self) -> None:
        address = os.environ.pop("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        watchdog_us = int(os.environ.pop("WATCHDOG_USEC", "0"))
        self.watchdog_s: float | None = watchdog_us / 1e6 if watchdog_us else None
        """How long systemd waits for a sign of progress; None when it does not watch."""

    def hand_on(self) -> dict[str, str]:
        """What a program that takes the place of this one finds in its environment, to speak in its stead."""
        found = {"NOTIFY_SOCKET": "@" + self._address[1:] if self._address.startswith("\0") else self._address}
        if self.watchdog_s is not None:
            found["WATCHDOG_USEC"] = str(int(self.watchdog_s * 1e6))
        return found if self._address else {}

    def tell(self, **fields: str | int) -> None:
        """Send fields such as READY=1, STATUS="…", WATCHDOG=1. A lost supervisor is no reason to stop working."""
        if not self._address:
            return
        text = "\n".join(f"{key}={value}" for key, value in fields.items())
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            try:
                channel.connect(self._address)
                channel.sendall(text.encode())
            except OSError:
                return
