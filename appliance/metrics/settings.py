"""Where the numbers are offered, and to whom: the table `[metrics]`."""

from __future__ import annotations

from pydantic import Field, model_validator

from appliance.config_values import File, Table, Text
from appliance.oip.settings import address, is_loopback


class Metrics(Table):
    """Numbers for Prometheus, at `/metrics`. Without this table they are not offered."""

    listen: Text = Field("127.0.0.1:9464", description="address and port", examples=["127.0.0.1:9464"])
    cert_file: File | None = Field(
        None, description="certificate (PEM); other addresses than loopback need it", examples=["metrics.crt"]
    )
    key_file: File | None = Field(
        None,
        description="key of the certificate (PEM); credential:NAME reads a systemd credential",
        examples=["credential:metrics.key"],
    )
    token_file: File | None = Field(
        None,
        description="file whose first line Prometheus must send as `Authorization: Bearer …`; other addresses than "
        "loopback need it; credential:NAME reads a systemd credential",
        examples=["credential:metrics-token"],
    )

    @model_validator(mode="after")
    def _safe(self) -> Metrics:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file belong together: give both or neither")
        host, _ = address(self.listen)
        if not is_loopback(host) and (self.cert_file is None or self.token_file is None):
            raise ValueError(
                f'listen = "{self.listen}" can be reached from other machines: give cert_file, key_file and '
                "token_file, or use 127.0.0.1"
            )
        return self
