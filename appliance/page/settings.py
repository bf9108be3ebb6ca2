"""Where the live page is offered, and to whom: the table `[page]`."""

from __future__ import annotations

from pydantic import Field, model_validator

from appliance.config_values import File, Table, Text
from appliance.oip.settings import address, is_loopback


class Page(Table):
    """The live page for a browser. Without this table there is none."""

    listen: Text = Field("127.0.0.1:8080", description="address and port", examples=["127.0.0.1:8080"])
    cert_file: File | None = Field(
        None, description="certificate (PEM); other addresses than loopback need it", examples=["page.crt"]
    )
    key_file: File | None = Field(
        None,
        description="key of the certificate (PEM); credential:NAME reads a systemd credential",
        examples=["credential:page.key"],
    )
    password_file: File | None = Field(
        None,
        description="file whose first line opens the page, at least 8 characters; other addresses than loopback need "
        "it; credential:NAME reads a systemd credential",
        examples=["credential:page-password"],
    )
    token_file: File | None = Field(
        None,
        description="file whose first line programs may send as `Authorization: Bearer …` in place of the password",
        examples=["credential:page-token"],
    )
    hosts: list[Text] = Field(
        [],
        description="more names under which browsers reach this device; its addresses and its host name always count",
        examples=[["dock-1.example.com"]],
    )

    @model_validator(mode="after")
    def _safe(self) -> Page:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file belong together: give both or neither")
        if self.token_file is not None and self.password_file is None:
            raise ValueError("token_file is of no use without password_file: the page would be open without either")
        host, _ = address(self.listen)
        if not is_loopback(host) and (self.cert_file is None or self.password_file is None):
            raise ValueError(
                f'listen = "{self.listen}" can be reached from other machines: give cert_file, key_file and '
                "password_file, or use 127.0.0.1"
            )
        return self
