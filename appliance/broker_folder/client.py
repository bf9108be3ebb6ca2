"""What one client gets: who it trusts, how it proves its name, and the lines for its configuration."""

from __future__ import annotations

from collections.abc import Iterator

from appliance.broker_folder.authority import Certificate
from appliance.broker_folder.files import OPEN, SECRET
from appliance.broker_folder.record import Member, Record
from appliance.broker_folder.rights import Role

PLACE = "/etc/appliance/broker"
"""Where the lines for the configuration expect the files."""


def client_files(
    record: Record,
    member: Member,
    trusted: str,
    password: str | None,
    signed: Certificate | None,
    serving: Certificate | None,
) -> Iterator[tuple[str, str, int]]:
    """Name, content and mode of each file."""
    yield "trusted.crt", trusted, OPEN
    yield "mqtt.toml", _lines(record, member), OPEN
    if password is not None:
        yield "password", password + "\n", SECRET
    if signed is not None:
        yield f"{member.name}.crt", signed.certificate, OPEN
        yield f"{member.name}.key", signed.key, SECRET
    if serving is not None:
        yield "serving.crt", serving.certificate, OPEN
        yield "serving.key", serving.key, SECRET


def _name_there(member: Member) -> str:
    if member.replicas:
        return "Each replica has a name of its own: that of its host."
    return f'Its name there must be "{member.name}": it may speak as nobody else.'


def _lines(record: Record, member: Member) -> str:
    """The `[mqtt]` table, the same for appliance.toml and service.toml."""
    host = f"[{record.hosts[0]}]" if ":" in record.hosts[0] else record.hosts[0]
    lines = [
        f"# Copy this folder to {PLACE} on the machine of {member.name}, for the user that it runs as, then",
        f"# these lines into its configuration. {_name_there(member)}",
        "[mqtt]",
        f'broker = "mqtts://{host}:{record.port}"',
        f'base = "{record.base}"',
        f'ca_file = "{PLACE}/trusted.crt"',
    ]
    if record.identity == "password":
        lines += [f'username = "{member.name}"', f'password_file = "{PLACE}/password"']
    else:
        lines += [f'cert_file = "{PLACE}/{member.name}.crt"', f'key_file = "{PLACE}/{member.name}.key"']
    if member.role is Role.SERVICE:
        lines += [
            "",
            "# The services that share the questions; nobody else may know it (docs/security.md).",
            "[serve]",
            *([] if member.replicas else [f'id = "{member.name}"']),
            f'group = "{record.group}"',
        ]
    if member.hosts:
        lines += [
            "",
            "# For other programs; they send the first line of the token file: openssl rand -hex 32 > token",
            "[oip]",
            'http = "0.0.0.0:8000"',
            'grpc = "0.0.0.0:8001"',
            f'cert_file = "{PLACE}/serving.crt"',
            f'key_file = "{PLACE}/serving.key"',
            f'token_file = "{PLACE}/token"',
        ]
    return "\n".join(lines) + "\n"
