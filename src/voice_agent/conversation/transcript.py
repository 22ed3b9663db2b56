"""What was said and heard, in order. The only truth for history: the agent's side holds what was *heard*."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One turn or one reply. `text` is what was said, or of a reply what was heard. `at` is on the session's clock.

    A call of a function (role "tool_call") has its JSON arguments as text, its answer (role "tool_output") what the function
    gave; `call_id` joins them.

    `confidence` and `language` belong to a spoken turn; `interrupted` and `written` (all that the model wrote) to a reply.
    """

    item_id: str
    role: Literal["user", "agent", "system", "tool_call", "tool_output"]
    text: str
    at: float
    speaker: str = ""
    confidence: float = 1.0
    language: str = ""
    by_text: bool = False
    reply_id: int = 0
    written: str = ""
    interrupted: bool = False
    call_id: str = ""
    name: str = ""


@dataclass(slots=True)
class Transcript:
    """Ordered items with ids. Methods raise `KeyError` for an unknown id."""

    _items: dict[str, Item] = field(default_factory=dict)
    _made: int = 0
    _promised: set[str] = field(default_factory=set)

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items.values())

    def __reversed__(self) -> Iterator[Item]:
        return reversed(self._items.values())

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, item_id: object) -> bool:
        return item_id in self._items

    def ids(self) -> tuple[str, ...]:
        """In order."""
        return tuple(self._items)

    def __getitem__(self, item_id: str) -> Item:
        return self._items[item_id]

    @property
    def made(self) -> int:
        """The number of the last id that was given out."""
        return self._made

    def next_id(self) -> str:
        """A new id, unique in this transcript."""
        self._made += 1
        while f"item_{self._made}" in self._items:
            self._made += 1
        return f"item_{self._made}"

    def promise_id(self) -> str:
        """A new id for an item that is still to come: until then, or until it is released, nobody else can take it."""
        item_id = self.next_id()
        self._promised.add(item_id)
        return item_id

    def release_id(self, item_id: str) -> None:
        """The promised item will not come."""
        self._promised.discard(item_id)

    def is_taken(self, item_id: str) -> bool:
        """It is in use, or promised to an item that is still to come."""
        return item_id in self._items or item_id in self._promised

    def add(self, item: Item, *, after: str | None = None) -> None:
        """Appends, or inserts behind `after` ("" for the head)."""
        if item.item_id in self._items:
            raise KeyError(f"item {item.item_id!r} exists")
        self._promised.discard(item.item_id)
        if after is None:
            self._items[item.item_id] = item
            return
        items = list(self._items.values())
        place = 0 if after == "" else 1 + items.index(self._items[after])
        items.insert(place, item)
        self._items = {entry.item_id: entry for entry in items}

    def write(self, item: Item, *, at: float) -> str:
        """Appends `item`, under a new id if it has none, and returns the id."""
        item_id = item.item_id or self.next_id()
        self.add(replace(item, item_id=item_id, at=at))
        return item_id

    def remove(self, item_id: str) -> Item:
        return self._items.pop(item_id)

    def truncate(self, item_id: str, text: str) -> None:
        """Sets what was heard of an item."""
        self._items[item_id] = replace(self._items[item_id], text=text)

    def cut_off(self, item_id: str, heard: str) -> None:
        """Of a reply that is over, `heard` was heard. Items of another kind stay as they are."""
        item = self._items[item_id]
        if item.role == "agent":
            cut = item.interrupted or heard.rstrip() != item.text.rstrip()
            self._items[item_id] = replace(item, text=heard, interrupted=cut)

    def finish_reply(self, item_id: str, *, heard: str, written: str, interrupted: bool, keep: bool = False) -> None:
        """The reply is over; one of which nothing was heard leaves no trace unless it is to be kept."""
        if not heard.strip() and not keep:
            self.remove(item_id)
            return
        self._items[item_id] = replace(self._items[item_id], text=heard, written=written, interrupted=interrupted)

    def last_agent_text(self) -> str:
        """What was last heard of the agent, "" if nothing."""
        return next((item.text for item in reversed(self._items.values()) if item.role == "agent"), "")
