import datetime as dt
import ipaddress
import os
import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509

from voice_agent.api.tls import RENEW_DAYS, VALID_DAYS, lan_addresses, self_signed
from voice_agent.errors import SettingsError

NOW = dt.datetime(2026, 5, 1, tzinfo=dt.UTC)


def names(path: Path) -> set[str]:
    cert = x509.load_pem_x509_certificate(path.read_bytes())
    san = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {str(name.value) for name in san}


def test_it_is_made_out_to_this_machine_and_its_addresses(tmp_path: Path) -> None:
    made = self_signed(tmp_path, addresses=["192.168.1.20", "fd00::20"], more_names=["agent.example.com"], now=NOW)
    assert {"localhost", "127.0.0.1", "::1", "192.168.1.20", "fd00::20", "agent.example.com"} <= names(made.cert)
    assert stat.S_IMODE(os.stat(made.key).st_mode) == 0o600
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(made.cert, made.key)


def test_it_is_kept_until_it_is_about_to_end_or_the_machine_moves(tmp_path: Path) -> None:
    first = self_signed(tmp_path, addresses=["192.168.1.20"], now=NOW).cert.read_bytes()

    def later(days: int, address: str = "192.168.1.20") -> bytes:
        return self_signed(tmp_path, addresses=[address], now=NOW + dt.timedelta(days=days)).cert.read_bytes()

    assert later(VALID_DAYS - RENEW_DAYS - 1) == first
    moved = later(1, "10.0.0.5")
    assert moved != first
    assert later(VALID_DAYS - RENEW_DAYS + 2, "10.0.0.5") != moved


@pytest.mark.parametrize("file", ["cert.pem", "key.pem"])
@pytest.mark.parametrize("content", [None, b"", b"-----BEGIN nonsense"])
def test_a_damaged_or_missing_half_is_made_anew(tmp_path: Path, file: str, content: bytes | None) -> None:
    self_signed(tmp_path, addresses=[], now=NOW)
    if content is None:
        (tmp_path / file).unlink()
    else:
        (tmp_path / file).write_bytes(content)
    made = self_signed(tmp_path, addresses=[], now=NOW)
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(made.cert, made.key)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="cannot be used"):
        self_signed(tmp_path / "file" / "tls", addresses=[])


def test_addresses_are_those_that_others_can_reach() -> None:
    for text in lan_addresses():
        address = ipaddress.ip_address(text)
        assert not address.is_loopback
        assert not address.is_link_local
