"""Certificate authorities, certificates and keys made by openssl for one test."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

LONG_AGO = ("20200101000000Z", "20200201000000Z")
NOW = ("20200101000000Z", "20990101000000Z")
LATER = ("20980101000000Z", "20990101000000Z")

SETTINGS = """
[ca]
default_ca = this
[this]
database = {folder}/index
serial = {folder}/serial
new_certs_dir = {folder}
default_md = sha256
policy = policy
unique_subject = no
[policy]
commonName = supplied
"""


class Authority:
    """Signs certificates for names; everything lies in its folder."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        if shutil.which("openssl") is None:
            pytest.skip("openssl is not installed: apt-get install openssl")
        folder.mkdir()
        self.certificate = folder / "authority.crt"
        self._folder = folder
        self._key = folder / "authority.key"
        (folder / "settings").write_text(SETTINGS.format(folder=folder))
        (folder / "index").touch()
        (folder / "serial").write_text("01\n")
        self._openssl(
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30"),
            *("-subj", f"/CN={name}", "-keyout", self._key, "-out", self.certificate),
        )

    def sign(
        self, name: str, *, hosts: str = "DNS:localhost,IP:127.0.0.1", valid: tuple[str, str] = NOW
    ) -> tuple[Path, Path]:
        """A certificate for `name` and its key."""
        certificate, key, request = (self._folder / f"{name}.{ending}" for ending in ("crt", "key", "csr"))
        extra = self._folder / f"{name}.extra"
        extra.write_text(f"subjectAltName = {hosts}\n")
        self._openssl(
            *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-subj", f"/CN={name}", "-keyout", key, "-out", request),
        )
        self._openssl(
            *("ca", "-batch", "-notext", "-config", self._folder / "settings", "-extfile", extra),
            *("-cert", self.certificate, "-keyfile", self._key, "-in", request, "-out", certificate),
            *("-startdate", valid[0], "-enddate", valid[1]),
        )
        return certificate, key

    def lock(self, key: Path, passphrase: str) -> Path:
        """The same key, encrypted."""
        locked = key.with_suffix(".locked")
        self._openssl("pkey", "-in", key, "-aes256", "-passout", f"pass:{passphrase}", "-out", locked)
        return locked

    def revoke(self, certificate: Path) -> Path:
        """A list of what is revoked."""
        listed = self._folder / "revoked.pem"
        common = ("ca", "-config", self._folder / "settings", "-cert", self.certificate, "-keyfile", self._key)
        self._openssl(*common, "-revoke", certificate)
        self._openssl(*common, "-gencrl", "-crldays", "30", "-out", listed)
        return listed

    def _openssl(self, *arguments: object) -> None:
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
