"""Who calls: what the gate (gate.py) found out about a request before any route saw it."""

import ipaddress
from dataclasses import dataclass

from voice_agent.transports.realtime.config import SessionConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSecret:
    """A short-lived key for a browser: opens the realtime socket and nothing else, with the configuration bound to it.

    `expires_at` is a Unix time in seconds. `key_id` is the key that made it, None where none was needed.
    """

    value: str
    expires_at: int
    config: SessionConfig
    key_id: str | None = None

    def __repr__(self) -> str:
        return f"ClientSecret(ek_…, expires_at={self.expires_at})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """`key_id` is None for a caller on this machine who needs no key. `secret` is set when it came with a client secret."""

    address: str
    key_id: str | None = None
    secret: ClientSecret | None = None

    @property
    def identity(self) -> str:
        """What limits are counted by."""
        return f"key {self.key_id}" if self.key_id is not None else f"address {self.address}"

    @property
    def is_local(self) -> bool:
        """Whether it called from this machine."""
        return is_loopback(self.address)


def is_loopback(address: str) -> bool:
    """Whether `address` (numeric, or "localhost") can only be reached from this machine."""
    if address == "localhost":
        return True
    try:
        found = ipaddress.ip_address(address.strip("[]").partition("%")[0])
    except ValueError:
        return False
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None  # as a socket of both kinds tells IPv4
    return (mapped or found).is_loopback
