"""The vocabulary file."""

from pathlib import Path

import pytest

from voice_agent.engines.stt import moonshine_tokens
from voice_agent.engines.stt.moonshine_tokens import join, read_vocabulary
from voice_agent.errors import ModelError


def entry(text: bytes) -> bytes:
    if len(text) < 128:
        return bytes([len(text)]) + text
    return bytes([128 + len(text) % 128, len(text) // 128]) + text


def write(folder: Path, entries: list[bytes]) -> Path:
    path = folder / "tokenizer.bin"
    path.write_bytes(b"".join(entry(text) for text in entries))
    return path


def test_entries_of_all_kinds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = b"x" * 300
    entries = [b"", b"<s>", b"</s>", "\u2581My".encode(), b"<0xC3>", b"<0xA9>", long]
    monkeypatch.setattr(moonshine_tokens, "VOCABULARY_SIZE", len(entries))
    vocabulary = read_vocabulary(write(tmp_path, entries), model="m", remedy="r")
    assert join(vocabulary, [1, 3, 4, 5, 0, 2]) == "Myé"
    assert join(vocabulary, [6]) == "x" * 300
    assert join(vocabulary, [4]) == "\ufffd", "half a character"
    assert join(vocabulary, []) == ""


@pytest.mark.parametrize("data", [b"", b"\x05ab", b"\xff", b"junk" * 1000])
def test_another_file_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "tokenizer.bin").write_bytes(data)
    with pytest.raises(ModelError, match="cannot be loaded") as caught:
        read_vocabulary(tmp_path / "tokenizer.bin", model="m", remedy="Run: mend")
    assert (caught.value.code, caught.value.remedy) == ("model.damaged", "Run: mend")


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        read_vocabulary(tmp_path / "tokenizer.bin", model="m", remedy="")
    assert caught.value.code == "model.missing"
