"""A certificate authority for one broker, kept in a folder by the openssl program.

Elliptic keys (P-256): a handshake costs a small device a few milliseconds. A certificate is for one purpose: a device's
cannot be shown by somebody who plays the broker, nor the broker's by somebody who plays a device.
"""

from __future__ import annotations

import ipaddress
import shutil
import subprocess
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from enum import Enum
from pathlib import Path

from appliance.broker_folder.errors import OpensslError
from appliance.broker_folder.files import OPEN, SECRET, write_new

WITHIN_S = 30.0
BEFORE = timedelta(days=1)
"""A certificate is valid from a day ago: the clock of the machine that shows it may be a little late."""

SETTINGS = """\
[ca]
default_ca = ours
[ours]
database = index
serial = serial
new_certs_dir = issued
certificate = authority.crt
private_key = authority.key
default_md = sha256
policy = names
unique_subject = no
rand_serial = yes
copy_extensions = none
[names]
commonName = supplied
[authority]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[req]
distinguished_name = names
"""


class Purpose(str, Enum):
    """What a certificate may be shown as."""

    SERVER = "serverAuth"
    CLIENT = "clientAuth"


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate and its key, in PEM form."""

    certificate: str
    key: str


@dataclass(frozen=True, slots=True)
class Issued:
    """An entry in the authority's books."""

    serial: str
    expires: datetime


class Authority:
    """Signs for names. The key never leaves the folder, which need not be on the broker's machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.certificate_file = folder / "authority.crt"

    @classmethod
    def create(cls, folder: Path, name: str, days: int) -> Authority:
        """A new one, valid for `days`; raises OpensslError, or FileExistsError for a folder that is there."""
        folder.mkdir(mode=0o700, parents=True)
        (folder / "issued").mkdir(mode=0o700)
        write_new(folder / "settings", SETTINGS)
        write_new(folder / "index", "")
        write_new(folder / "authority.key", new_key(), SECRET)
        said = _openssl(
            *("req", "-x509", "-new", "-key", "authority.key", "-sha256", "-days", str(days), "-subj", f"/CN={name}"),
            *("-config", "settings", "-extensions", "authority"),
            folder=folder,
        )
        write_new(folder / "authority.crt", said, OPEN)
        return cls(folder)

    @property
    def certificate(self) -> str:
        return self.certificate_file.read_text(encoding="ascii")

    def sign(self, name: str, purpose: Purpose, days: int, hosts: tuple[str, ...] = ()) -> Certificate:
        """A new key and its certificate for `name`, and for the `hosts` (names or addresses) that a server has."""
        request, extra = self.folder / "request.csr", self.folder / "request.extra"
        key_file = self.folder / "request.key"
        for left in (request, extra, key_file):
            left.unlink(missing_ok=True)
        try:
            key = new_key()
            write_new(key_file, key, SECRET)
            write_new(extra, _extensions(purpose, hosts))
            subject = ("-subj", f"/CN={name}")
            write_new(request, self._run("req", "-new", "-config", "settings", "-key", "request.key", *subject))
            start = datetime.now(timezone.utc) - BEFORE
            signed = self._run(
                *("ca", "-batch", "-notext", "-config", "settings", "-extfile", "request.extra", "-in", "request.csr"),
                *("-startdate", _time(start), "-enddate", _time(start + BEFORE + timedelta(days=days))),
            )
        finally:
            for left in (request, extra, key_file):
                left.unlink(missing_ok=True)
        return Certificate(signed, key)

    def issued(self, name: str) -> list[Issued]:
        """Every certificate it ever signed for `name` and has not revoked, in that order."""
        lines = (self.folder / "index").read_text(encoding="utf-8").splitlines()
        entries = [line.split("\t") for line in lines]  # state, end, revoked, serial, file, subject
        return [
            Issued(serial, _moment(end))
            for state, end, _, serial, _, who in entries
            if who == f"/CN={name}" and state != "R"
        ]

    def revoke(self, name: str) -> None:
        """All that was ever signed for `name` is on every list that `revoked` gives from now on."""
        for one in self.issued(name):
            self._run("ca", "-batch", "-config", "settings", "-revoke", f"issued/{one.serial}.pem")

    def revoked(self) -> str:
        """The list of revoked certificates (PEM), good for as long as the authority: none is ever late."""
        left = expires(self.certificate_file) - datetime.now(timezone.utc)
        return self._run("ca", "-config", "settings", "-gencrl", "-crldays", str(max(1, left.days)))

    def _run(self, *arguments: str) -> str:
        return _openssl(*arguments, folder=self.folder)


def new_key() -> str:
    """An elliptic key (P-256), unencrypted PEM."""
    return _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")


def expires(certificate: Path) -> datetime:
    """When it ends, in UTC."""
    said = _openssl("x509", "-in", str(certificate), "-noout", "-enddate")
    words = said.strip().removeprefix("notAfter=").removesuffix(" GMT")
    return datetime.strptime(words, "%b %d %H:%M:%S %Y").replace(tzinfo=timezone.utc)


def _extensions(purpose: Purpose, hosts: tuple[str, ...]) -> str:
    lines = [
        "basicConstraints = critical, CA:FALSE",
        "keyUsage = critical, digitalSignature",
        f"extendedKeyUsage = {purpose.value}",
        "subjectKeyIdentifier = hash",
        "authorityKeyIdentifier = keyid",
    ]
    if hosts:
        lines.append(f"subjectAltName = {','.join(f'{_kind(host)}:{host}' for host in hosts)}")
    return "\n".join(lines) + "\n"


def _kind(host: str) -> str:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return "DNS"
    return "IP"


def _moment(written: str) -> datetime:
    """A time of the index: `YYMMDDHHMMSSZ` until 2049, with four digits of the year from then on."""
    pattern = "%y%m%d%H%M%SZ" if len(written) == len("YYMMDDHHMMSSZ") else "%Y%m%d%H%M%SZ"
    return datetime.strptime(written, pattern).replace(tzinfo=timezone.utc)


def _time(moment: datetime) -> str:
    return moment.strftime("%Y%m%d%H%M%SZ")


def _openssl(*arguments: str, folder: Path | None = None) -> str:
    program = shutil.which("openssl")
    if program is None:
        raise OpensslError("the openssl program is not here: apt-get install openssl")
    try:
        done = subprocess.run(
            [program, *arguments], cwd=folder, check=False, capture_output=True, text=True, timeout=WITHIN_S
        )
    except subprocess.TimeoutExpired as e:
        raise OpensslError(
            f"openssl {arguments[0]} did not end within {WITHIN_S:.0f} s: is the disk full or lost?"
        ) from e
    if done.returncode != 0:
        raise OpensslError(f"openssl {arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout
