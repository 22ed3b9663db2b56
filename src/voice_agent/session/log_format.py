"""What stands in an event log: one header line, then one line for each call of the machine.

    {"log": "voice-agent events", "version": 1, "session": …, "redacted": …, "settings": {…}, "items": […], "items_made": …}
    {"now": 1.25, "event": {"type": "SpeechStarted", …} or null for a timer, "effects": [{"type": …}, …]}

Events and effects are written and read by the fields of their dataclasses, so a new one needs nothing here.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from voice_agent.conversation.effects import Effect
from voice_agent.conversation.events import Event
from voice_agent.conversation.redaction import Step
from voice_agent.conversation.settings import ConversationSettings
from voice_agent.conversation.transcript import Item, Transcript
from voice_agent.errors import InputError

KIND = "voice-agent events"
VERSION = 1
"""Goes up when an old log cannot be read any more."""

HEADER_LIMIT = 1 << 20
"""Bytes. A first line longer than that belongs to some other file."""

TYPES: dict[str, type] = {kind.__name__: kind for kind in (*get_args(Event), *get_args(Effect))}


@dataclass(frozen=True, slots=True, kw_only=True)
class LogHeader:
    """What a replay needs to begin where the session began.

    `redacted`: words are opaque tokens. `items` and `items_made` are of a transcript that an earlier session had begun: its item
    ids, and how many it had given out.
    """

    session: str
    redacted: bool
    settings: ConversationSettings
    items: tuple[str, ...] = ()
    items_made: int = 0

    def transcript(self) -> Transcript:
        """One that gives out the ids that the session's gave out. Its items have no text: no decision reads that."""
        transcript = Transcript()
        for _ in range(self.items_made):
            transcript.next_id()
        for item_id in self.items:
            transcript.add(Item(item_id=item_id, role="system", text="", at=0.0))
        return transcript


# ---------------------------------------------------------------- writing


def header_line(header: LogHeader) -> dict[str, object]:
    return {"log": KIND, "version": VERSION, **_plain_fields(header)}


def step_line(step: Step) -> dict[str, object]:
    event = None if step.event is None else tagged(step.event)
    return {"now": step.now, "event": event, "effects": [tagged(effect) for effect in step.effects]}


def tagged(value: Event | Effect) -> dict[str, object]:
    """With the name of its class as "type"."""
    return {"type": type(value).__name__, **_plain_fields(value)}


def _plain_fields(value: Any) -> dict[str, object]:
    return {entry.name: _plain(getattr(value, entry.name)) for entry in fields(value)}


def _plain(value: object) -> object:
    if is_dataclass(value):
        return _plain_fields(value)
    return [_plain(inner) for inner in value] if isinstance(value, tuple) else value


# ---------------------------------------------------------------- reading


class LogReader:
    """The log at `path`. Raises `InputError` where that is none, cannot be read or is damaged; the message names the line.

    `cut_off` is true once `steps` has come to a last line that was not written to its end, as a crash leaves it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._line = 1
        self.cut_off = False
        try:
            with path.open("rb") as file:
                first = file.readline(HEADER_LIMIT)
        except OSError as error:
            raise self._unreadable(error) from error
        self.header = self._header(first)

    def steps(self) -> Iterator[tuple[int, Step]]:
        """Each call of the machine with the number of its line (the header is line 1)."""
        try:
            with self._path.open("rb") as file:
                file.readline()
                for self._line, line in enumerate(file, start=2):
                    if not line.endswith(b"\n"):
                        self.cut_off = True
                        return
                    yield self._line, self._step(line)
        except OSError as error:
            raise self._unreadable(error) from error

    def _header(self, line: bytes) -> LogHeader:
        try:
            data = _parsed(line)
        except ValueError:
            data = {}
        if data.pop("log", None) != KIND:
            raise InputError(
                f"{self._path} is not an event log",
                why="it is empty" if not line else "its first line is no header of one",
                remedy="Record one with LOG_EVENTS_DIR set to a folder",
                code="log.unreadable",
            )
        version = data.pop("version", None)
        if version != VERSION:
            raise InputError(
                f"{self._path} has version {version!r} of the event log",
                why=f"this program reads version {VERSION}",
                remedy="Replay it with the program that recorded it",
                code="log.version",
            )
        try:
            header: LogHeader = _built(LogHeader, data)
        except ValueError as error:
            raise self._damaged(error) from error
        return header

    def _step(self, line: bytes) -> Step:
        try:
            data = _parsed(line)
            event, effects = data["event"], data["effects"]
            return Step(
                now=_value(float, data["now"]),
                event=None if event is None else _tagged(Event, event),
                effects=tuple(_tagged(Effect, effect) for effect in _value(list, effects)),
            )
        except KeyError as error:
            raise self._damaged(ValueError(f"{error} is missing")) from error
        except ValueError as error:
            raise self._damaged(error) from error

    def _damaged(self, error: ValueError) -> InputError:
        why = "it is no JSON" if isinstance(error, json.JSONDecodeError | UnicodeDecodeError) else str(error)
        return InputError(
            f"Line {self._line} of {self._path} cannot be read",
            why=why,
            remedy="The file is damaged, or another release of the program wrote it; record it again",
            code="log.damaged",
        )

    def _unreadable(self, error: OSError) -> InputError:
        return InputError(
            f"{self._path} cannot be read",
            why=error.strerror or str(error),
            remedy="Name an event log that this user can read",
            code="log.unreadable",
        )


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        return _mapping(json.loads(line.decode("utf-8")))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _mapping(data: object) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise ValueError(f"it holds {type(data).__name__} where an object belongs")
    return data


def _tagged(union: Any, data: object) -> Any:
    """An event or effect. Raises `ValueError`."""
    rest = dict(_mapping(data))
    name = rest.pop("type", None)
    kind = TYPES.get(name) if isinstance(name, str) else None
    if kind is None or kind not in get_args(union):
        raise ValueError(f"{name!r} is unknown")
    return _built(kind, rest)


def _built(kind: Any, data: Mapping[str, object]) -> Any:
    """An instance of a dataclass from its fields. One that is missing takes its default: the log may be older than the field."""
    hints, known = _hints(kind), _fields(kind)
    unknown = data.keys() - known.keys()
    if unknown:
        raise ValueError(f"{kind.__name__} has no {', '.join(sorted(unknown))}")
    for name, entry in known.items():
        if name not in data and entry.default is MISSING and entry.default_factory is MISSING:
            raise ValueError(f"{kind.__name__} lacks {name}")
    try:
        return kind(**{name: _value(hints[name], value) for name, value in data.items()})
    except ValueError as error:
        raise ValueError(f"{kind.__name__}: {error}") from error


def _value(hint: Any, value: object) -> Any:
    """`value` as the type `hint`, of those that events, effects and settings have. Raises `ValueError`."""
    origin = get_origin(hint)
    if origin is Literal:
        fits = value in get_args(hint)
    elif origin in (Union, UnionType):
        return None if value is None and NoneType in get_args(hint) else _value(get_args(hint)[0], value)
    elif origin is tuple:
        return tuple(_value(get_args(hint)[0], inner) for inner in _value(list, value))
    elif is_dataclass(hint):
        return _built(hint, _mapping(value))
    elif hint is float:
        fits = isinstance(value, int | float) and not isinstance(value, bool)
    else:
        fits = isinstance(value, hint) and (hint is bool or not isinstance(value, bool))
    if not fits:
        raise ValueError(f"{json.dumps(value)[:40]} is no {getattr(hint, '__name__', hint)}")
    return value


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


@cache
def _fields(kind: Any) -> dict[str, Field[Any]]:
    return {entry.name: entry for entry in fields(kind)}
