"""Moonshine's `tokenizer.bin`: one byte string per token, each behind its length.

A length is one byte, or two where the first is 128 or more: (first - 128) + 128 * second. U+2581 stands for a space, `<0xNN>` for
one byte, any other `<...>` for a control token without text. (Facts of the file format, found by reading the file.)
"""

from collections.abc import Iterable
from pathlib import Path

from voice_agent.errors import ModelError

VOCABULARY_SIZE = 32_768
"""Rows of the decoder's output."""

SPACE = "\u2581".encode()


def read_vocabulary(path: Path, *, model: str, remedy: str) -> tuple[bytes, ...]:
    """The text of each token id. Raises `ModelError` when the file is missing or is not a vocabulary of this size."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"The model {model} is missing", why=f"no file {path}", remedy=remedy, code="model.missing") from error
    entries = _entries(data)
    if len(entries) != VOCABULARY_SIZE:
        why = f"{path.name} holds {len(entries)} tokens in place of {VOCABULARY_SIZE}"
        raise ModelError(f"The model {model} cannot be loaded", why=why, remedy=remedy, code="model.damaged")
    return tuple(_text(entry) for entry in entries)


def join(vocabulary: tuple[bytes, ...], ids: Iterable[int]) -> str:
    """The text of a token sequence. Bytes that are not UTF-8 (a character cut in the middle) become U+FFFD."""
    return b"".join(vocabulary[token] for token in ids).decode("utf-8", "replace").strip()


def _entries(data: bytes) -> list[bytes]:
    entries: list[bytes] = []
    at = 0
    while at < len(data):
        length, at = data[at], at + 1
        if length >= 128 and at < len(data):
            length, at = length - 128 + 128 * data[at], at + 1
        entries.append(data[at : at + length])
        at += length
    return entries


def _text(entry: bytes) -> bytes:
    if entry.startswith(b"<0x") and len(entry) == 6:
        return bytes([int(entry[3:5], 16)])
    if entry.startswith(b"<") and entry.endswith(b">"):
        return b""
    return entry.replace(SPACE, b" ")
