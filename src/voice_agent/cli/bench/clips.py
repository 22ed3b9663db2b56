"""The human clips: a folder with sound files and a `manifest.tsv` that says what is said in each."""

import csv
from dataclasses import dataclass
from pathlib import Path

from voice_agent.audio.files import read_audio
from voice_agent.audio.pcm import Samples
from voice_agent.cli.bench.measure import RATE, Span, speech_bounds
from voice_agent.errors import AudioInputError

MANIFEST = "manifest.tsv"
BOUNDS = "speech_bounds.tsv"

TO_AN_AGENT = "aiewf_"
"""Clips whose names begin so are turns that people spoke to an agent; the others are read or declaimed. A column
`conversational` (yes, no) of the manifest overrides it."""


@dataclass(frozen=True, slots=True)
class Clip:
    """`samples` at 16 kHz. `speech`: where in it the speech begins and ends; `labelled` says that a person looked."""

    name: str
    samples: Samples
    transcript: str
    conversational: bool
    speech: Span
    labelled: bool


def checkout() -> Path | None:
    """The root of the source checkout that this package runs from, if it does."""
    import voice_agent

    root = Path(voice_agent.__file__).parents[2]
    return root if (root / "pyproject.toml").is_file() else None


def load_clips(folder: Path | None) -> list[Clip]:
    """Those of `folder`, or of the source checkout. Blocking. Raises `AudioInputError`."""
    root = checkout()
    if folder is None:
        if root is None or not (root / "tests" / "assets" / "audio" / MANIFEST).is_file():
            raise AudioInputError(
                "There are no human clips",
                why="this is not a source checkout, and the package holds none",
                remedy=f"Give a folder with sound files and a {MANIFEST} (columns: file, transcript) with --clips",
                code="audio.not_found",
            )
        folder, bounds = root / "tests" / "assets" / "audio", root / "benchmarks" / BOUNDS
    else:
        bounds = folder / BOUNDS
    labels = {row["file"]: Span(float(row["start_s"]), float(row["end_s"])) for row in _rows(bounds)} if bounds.is_file() else {}
    rows = _rows(folder / MANIFEST)
    if not rows or not {"file", "transcript"} <= rows[0].keys():
        raise _unusable(folder / MANIFEST, "it has no rows with the columns file and transcript")
    return [_clip(folder, row, labels) for row in rows]


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _unusable(path, str(getattr(error, "strerror", None) or error)) from error


def _unusable(path: Path, why: str) -> AudioInputError:
    return AudioInputError(
        f"{path} cannot be used",
        why=why,
        remedy="Give a tab-separated table with the columns file and transcript",
        code="audio.manifest",
    )


def _clip(folder: Path, row: dict[str, str], labels: dict[str, Span]) -> Clip:
    name, path = row["file"], folder / row["file"]
    speech = labels.get(name)
    bounds = speech or speech_bounds(read_audio(path, rate=RATE))
    if bounds is None:
        raise AudioInputError(f"{path} holds no speech", remedy="Take it out of the manifest", code="audio.no_speech")
    declared = (row.get("conversational") or "").strip().lower()
    return Clip(
        name=Path(name).stem,
        samples=read_audio(path),
        transcript=row["transcript"],
        conversational=declared == "yes" if declared else name.startswith(TO_AN_AGENT),
        speech=bounds,
        labelled=speech is not None,
    )
