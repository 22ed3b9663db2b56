"""Who may read what was said in a session, and end it.

There are no roles: a key is as good as another. So that the holder of one key does not read the talks of another, words are
for the key (or, without keys, the address) that holds the session, and for whoever runs the server: callers on this machine
where no key is needed, and everybody with a key where LOG_CONTENT says that words may be kept. Timings are for all.
"""

from voice_agent.api.caller import Caller
from voice_agent.errors import AccessError
from voice_agent.settings import Settings


def holds(caller: Caller, owner: Caller) -> bool:
    """It is the caller's own session, or the caller runs this server."""
    return caller.identity == owner.identity or (caller.key_id is None and caller.is_local)


def may_read(caller: Caller, owner: Caller, settings: Settings) -> bool:
    return settings.log.content or holds(caller, owner)


def check_reading(caller: Caller, owner: Caller, settings: Settings) -> None:
    """Raises `AccessError`."""
    if not may_read(caller, owner, settings):
        raise AccessError(
            "You may not read what is said in this session",
            why="another key holds it",
            remedy="Ask without content=true, or set LOG_CONTENT on the server",
            code="access.not_yours",
        )


def check_ending(caller: Caller, owner: Caller) -> None:
    """Raises `AccessError`."""
    if not holds(caller, owner):
        raise AccessError(
            "You may not end this session",
            why="another key holds it",
            remedy="Use that key, or end it on the server's own machine",
            code="access.not_yours",
        )
