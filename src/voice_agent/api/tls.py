"""A certificate of our own making, for phones on the same network: browsers give a microphone only to https pages.

It is kept, so that a person has to accept it once, and made anew shortly before it ends or when this machine has new addresses.
"""

import contextlib
import datetime as dt
import ipaddress
import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import platformdirs
import psutil
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from voice_agent.errors import SettingsError

VALID_DAYS = 397
"""Browsers refuse certificates that hold for longer than 398 days."""

RENEW_DAYS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """PEM files. `names` are what it is made out to."""

    cert: Path
    key: Path
    names: tuple[str, ...]


def default_folder() -> Path:
    return Path(platformdirs.user_config_dir("voice-agent")) / "tls"


def lan_addresses() -> list[str]:
    """Of this machine, without loopback and link-local ones; IPv4 first."""
    families = (socket.AF_INET, socket.AF_INET6)
    texts = [entry.address for entries in psutil.net_if_addrs().values() for entry in entries if entry.family in families]
    found = {ipaddress.ip_address(text.partition("%")[0]) for text in texts}
    usable = [address for address in found if not (address.is_loopback or address.is_link_local)]
    return [str(address) for address in sorted(usable, key=lambda address: (address.version, int(address)))]


def self_signed(
    folder: Path | None = None,
    *,
    more_names: Iterable[str] = (),
    addresses: Iterable[str] | None = None,
    now: dt.datetime | None = None,
) -> Certificate:
    """The kept certificate, or a new one. `addresses` None: those of this machine. Raises `SettingsError` when `folder` cannot
    be written."""
    folder = folder if folder is not None else default_folder()
    now = now if now is not None else dt.datetime.now(dt.UTC)
    found = lan_addresses() if addresses is None else addresses
    host = socket.gethostname().lower()
    wanted = ["localhost", host, f"{host.partition('.')[0]}.local", "127.0.0.1", "::1", *found, *more_names]
    names = tuple(dict.fromkeys(wanted))
    kept = Certificate(cert=folder / "cert.pem", key=folder / "key.pem", names=names)
    try:
        if not _still_good(kept, now):
            _make(kept, now)
    except OSError as error:
        raise SettingsError(
            f"The certificate in {folder} cannot be used", why=error.strerror or "unreadable", remedy="Mend or remove that folder"
        ) from error
    return kept


def _still_good(certificate: Certificate, now: dt.datetime) -> bool:
    """There, belonging to its key, good for a while, and made out to all names."""
    try:
        cert = x509.load_pem_x509_certificate(certificate.cert.read_bytes())
        key = serialization.load_pem_private_key(certificate.key.read_bytes(), password=None)
        names = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (FileNotFoundError, ValueError, TypeError, x509.ExtensionNotFound):
        return False
    if key.public_key() != cert.public_key() or cert.not_valid_after_utc - now < dt.timedelta(days=RENEW_DAYS):
        return False
    return {_san(name) for name in certificate.names} <= set(names)


def _san(name: str) -> x509.GeneralName:
    with contextlib.suppress(ValueError):
        return x509.IPAddress(ipaddress.ip_address(name))
    return x509.DNSName(name.encode("idna").decode("ascii"))


def _make(certificate: Certificate, now: dt.datetime) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "voice-agent on this network")])
    public = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))  # clocks of phones differ
        .not_valid_after(now + dt.timedelta(days=VALID_DAYS))
        .add_extension(x509.SubjectAlternativeName([_san(text) for text in certificate.names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(public, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(public), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    certificate.cert.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    _write(certificate.key, private)
    _write(certificate.cert, built.public_bytes(serialization.Encoding.PEM))


def _write(path: Path, content: bytes) -> None:
    part = path.with_suffix(".part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
    os.replace(part, path)
