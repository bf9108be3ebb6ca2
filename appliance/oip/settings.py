"""Where the Open Inference Protocol is offered, and to whom: the table `[oip]`."""

from __future__ import annotations

import ipaddress
import re

from pydantic import Field, model_validator

from appliance.config_values import File, Seconds, Table

OFF = "off"
_ADDRESS = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(?P<port>[0-9]{1,5})")


class Oip(Table):
    """The Open Inference Protocol v2: models for other programs. Without this table it is not offered."""

    http: str = Field("127.0.0.1:8000", description="address and port of REST, or off", examples=["127.0.0.1:8000"])
    grpc: str = Field("127.0.0.1:8001", description="address and port of gRPC, or off", examples=["off"])
    cert_file: File | None = Field(
        None, description="certificate (PEM); other addresses than loopback need it", examples=["service.crt"]
    )
    key_file: File | None = Field(
        None,
        description="key of the certificate (PEM); credential:NAME reads a systemd credential",
        examples=["credential:service.key"],
    )
    token_file: File | None = Field(
        None,
        description="file whose first line every caller must send as `Authorization: Bearer …`; other addresses than "
        "loopback need it; credential:NAME reads a systemd credential",
        examples=["credential:oip-token"],
    )
    timeout_s: Seconds = Field(
        10.0, description="seconds after which an unanswered question counts as failed", examples=[10.0]
    )
    max_mb: int = Field(64, ge=1, le=1024, description="largest question in MB, unpacked", examples=[64])
    repository: bool = Field(True, description="callers may load and unload models", examples=[False])

    @model_validator(mode="after")
    def _safe(self) -> Oip:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file belong together: give both or neither")
        addresses = {key: text for key, text in (("http", self.http), ("grpc", self.grpc)) if text != OFF}
        for key, text in addresses.items():
            host, _ = address(text)
            if not is_loopback(host) and (self.cert_file is None or self.token_file is None):
                raise ValueError(
                    f'{key} = "{text}" can be reached from other machines: give cert_file, key_file and token_file, '
                    "or use 127.0.0.1"
                )
        return self


def address(text: str) -> tuple[str, int]:
    """Host, without brackets, and port; raises ValueError."""
    match = _ADDRESS.fullmatch(text)
    if match is None or int(match["port"]) > 65535:
        raise ValueError(f'"{text}" is no address: write host:port, such as 127.0.0.1:8000, or {OFF}')
    return match["host"].strip("[]"), int(match["port"])


def is_loopback(host: str) -> bool:
    """Only this machine can reach it."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
