"""The items of the transcript as one client knows them.

A client knows those that it was told of. A reply that went on after a false barge-in is one item of the transcript and several
of the client's: its pieces.
"""

from dataclasses import dataclass
from typing import Any

from voice_agent.api.realtime.wire_items import wire_item
from voice_agent.conversation.transcript import Item, Transcript


@dataclass(frozen=True, slots=True)
class Piece:
    """A later part of a reply, an item of its own: from this character of its text and this moment of its audio on."""

    name: str
    start_char: int
    start_ms: int


class KnownItems:
    """Ids are the transcript's, names are the client's; they differ only for pieces."""

    def __init__(self, transcript: Transcript) -> None:
        self._transcript = transcript
        self._told: dict[str, bool] = {}  # ids; True: what was spoken was told as text
        self._pieces: dict[str, list[Piece]] = {}  # of a reply, all but the first
        self._id_of: dict[str, str] = {}  # of pieces

    # ------------------------------------------------------------ telling

    def tell(self, item_id: str, *, as_text: bool = False) -> str | None:
        """The client is told of an item now. Returns the name of the one before it, None at the head."""
        self._told[item_id] = as_text
        passed = item_id not in self._transcript
        for item in reversed(self._transcript):
            if passed and item.item_id in self._told:
                return self.last_name(item.item_id)
            passed = passed or item.item_id == item_id
        return None

    def go_on(self, item_id: str, *, start_char: int, start_ms: int) -> str:
        """The rest of a reply becomes a piece. Returns its name."""
        pieces = self._pieces.setdefault(item_id, [])
        number = len(pieces) + 2
        while not self.is_free(f"{item_id}_{number}"):
            number += 1
        piece = Piece(f"{item_id}_{number}", start_char, start_ms)
        pieces.append(piece)
        self._id_of[piece.name] = item_id
        return piece.name

    def forget(self, item_id: str) -> list[str]:
        """The item is gone from the transcript. Returns the names that the client knew it by."""
        was_told = self._told.pop(item_id, None) is not None
        names = [piece.name for piece in self._pieces.pop(item_id, [])]
        for name in names:
            del self._id_of[name]
        return [item_id, *names] if was_told else []

    # ------------------------------------------------------------ asking

    def is_told(self, item_id: str) -> bool:
        return item_id in self._told

    def is_free(self, name: str) -> bool:
        """A new item can have this name."""
        return name not in self._id_of and not self._transcript.is_taken(name)

    def find(self, name: str) -> Item | None:
        """What the client means by a name."""
        item_id = self._id_of.get(name, name)
        known = item_id in self._told and item_id in self._transcript
        return self._transcript[item_id] if known else None

    def last_name(self, item_id: str) -> str:
        """Of its last piece: what comes behind the item comes behind this."""
        pieces = self._pieces.get(item_id)
        return pieces[-1].name if pieces else item_id

    def audio_of(self, name: str) -> tuple[int, int | None]:
        """Where the audio of this piece begins in its reply's, and how long it is if another piece follows; milliseconds."""
        pieces = [Piece(self._id_of.get(name, name), 0, 0), *self._pieces.get(self._id_of.get(name, name), [])]
        place = next(number for number, piece in enumerate(pieces) if piece.name == name)
        start_ms = pieces[place].start_ms
        return start_ms, pieces[place + 1].start_ms - start_ms if place + 1 < len(pieces) else None

    def wire(self, name: str, item: Item, *, status: str | None = None) -> dict[str, Any]:
        """As the protocol writes it, with what is known of it now."""
        done = "incomplete" if item.interrupted else "completed"
        as_text = item.by_text or self._told.get(item.item_id, False)
        return wire_item(item, name=name, text=self._text_of(name, item), as_text=as_text, status=status or done)

    def _text_of(self, name: str, item: Item) -> str:
        pieces = self._pieces.get(item.item_id)
        if not pieces:
            return item.text
        starts = {item.item_id: 0} | {piece.name: piece.start_char for piece in pieces}
        ends = [*list(starts.values())[1:], len(item.text)]
        start, end = next((starts[key], end) for key, end in zip(starts, ends, strict=True) if key == name)
        return item.text[start:end].strip()
