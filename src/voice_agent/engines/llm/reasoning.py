"""Takes a model's thinking out of its streamed answer: nobody wants to hear it. Pure."""

OPENING = "<think>"
CLOSING = "</think>"


class ThoughtFilter:
    """Drops everything between `<think>` and `</think>`, wherever the stream is cut into pieces.

    Text that could be the beginning of a tag is held back until the next piece tells.
    """

    def __init__(self) -> None:
        self._held = ""
        self._thinking = False

    def feed(self, text: str) -> str:
        """What of `text` (and of what was held back) may be spoken."""
        rest = self._held + text
        spoken: list[str] = []
        while True:
            tag = CLOSING if self._thinking else OPENING
            before, found, after = rest.partition(tag)
            if not found:
                break
            if not self._thinking:
                spoken.append(before)
            self._thinking = not self._thinking
            rest = after
        keep = _tail_that_may_begin(rest, tag)
        if not self._thinking:
            spoken.append(rest[: len(rest) - keep])
        self._held = rest[len(rest) - keep :]
        return "".join(spoken)

    def end(self) -> str:
        """What was held back and turned out not to be a tag. A thought that never ended is dropped."""
        held, self._held = self._held, ""
        return "" if self._thinking else held


def _tail_that_may_begin(text: str, tag: str) -> int:
    """Length of the longest end of `text` that is a proper beginning of `tag`."""
    return next((size for size in range(min(len(tag) - 1, len(text)), 0, -1) if tag.startswith(text[-size:])), 0)
