"""Which addresses the unit lets the service talk to: a command by hand, outside the unit, reaches others as well."""

from __future__ import annotations

import socket
import subprocess
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

ASK = ("systemctl", "show", "appliance", "-p", "IPAddressAllow", "-p", "IPAddressDeny")
ANSWER_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True)
class Reach:
    """Of the service, as systemd has it, with everybody's drop-ins."""

    allowed: tuple[IPv4Network | IPv6Network, ...] = ()
    denied: tuple[IPv4Network | IPv6Network, ...] = ()
    """Counts for what is not allowed; what is in neither is let through."""

    @classmethod
    def of_the_unit(cls) -> Reach:
        """Everywhere, where there is no such unit, or no systemd to ask."""
        try:
            asked = subprocess.run(ASK, capture_output=True, text=True, timeout=ANSWER_WITHIN_S, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return cls()
        said = dict(line.partition("=")[::2] for line in asked.stdout.splitlines())
        allowed, denied = (
            tuple(ip_network(each, strict=False) for each in said.get(key, "").split())
            for key in ("IPAddressAllow", "IPAddressDeny")
        )
        return cls(allowed, denied)

    def refuses(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address in each for each in self.denied) and not any(address in each for each in self.allowed)

    def refused(self, host: str) -> str:
        """The address of this host where the service reaches none of its addresses, else empty."""
        try:
            found = [ip_address(each[4][0]) for each in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]
        except OSError:
            return ""
        return str(found[0]) if found and all(map(self.refuses, found)) else ""


def how_to_allow(address: str) -> str:
    """For the service, what is refused to it."""
    return f"systemctl edit appliance: [Service], IPAddressAllow={address}; `any` where the address may change"
