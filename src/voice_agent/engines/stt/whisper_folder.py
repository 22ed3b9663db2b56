"""The files of a Whisper model in CTranslate2's form, looked at before any library does.

faster-whisper takes a name that is not a folder, and a folder without a tokenizer, as a wish to download; here that is an error.
"""

from pathlib import Path

from voice_agent.errors import ModelError

NEEDED = ("config.json", "model.bin", "tokenizer.json")
VOCABULARIES = ("vocabulary.json", "vocabulary.txt")

SIZES = ("tiny", "base", "small", "medium", "large-v2", "large-v3", "large-v3-turbo", "turbo")


def check_folder(model: Path | str) -> Path:
    """The folder of `model`. Raises `ModelError` when it is none, or files are missing."""
    folder = Path(model).expanduser()
    if not folder.is_dir():
        raise ModelError(
            f"The Whisper model {folder.name!r} is not on this machine",
            why=f"no folder {folder}",
            remedy=_fetch(folder),
            code="model.missing",
        )
    missing = [name for name in NEEDED if not (folder / name).is_file()]
    if not any((folder / name).is_file() for name in VOCABULARIES):
        missing.append(VOCABULARIES[0])
    if missing:
        raise damaged(folder, why="missing: " + ", ".join(missing))
    return folder


def damaged(folder: Path, *, why: str) -> ModelError:
    return ModelError(f"The Whisper model {folder.name!r} cannot be loaded", why=why, remedy=_fetch(folder), code="model.damaged")


def _fetch(folder: Path) -> str:
    size = folder.name.removeprefix("whisper-")
    return f"Run: voice-agent models fetch whisper-{size if size.removesuffix('.en') in SIZES else 'base'}"
