"""The shipped catalogue is whole; a wrong one is refused."""

import json
from importlib import resources
from typing import Any

import pytest
from pydantic import ValidationError

from tests.unit.models.small_catalogue import CONFIG, catalogue_of, file_entry, hub_source, model_entry
from voice_agent.errors import ModelError
from voice_agent.models import default_models, load_catalogue
from voice_agent.models.catalogue import HubSource, WheelSource


def test_embedded_start_needs_three_models_that_come_out_of_wheels() -> None:
    assert default_models() == ("moonshine-tiny-en", "smollm2-135m", "smart-turn-v3.2")
    models = [load_catalogue().find(name) for name in default_models()]
    assert all(isinstance(model.sources[0], WheelSource) for model in models)
    assert 140_000_000 < sum(model.bytes for model in models) < 160_000_000


def test_every_shipped_model_is_pinned_and_licensed() -> None:
    for model in load_catalogue().models:
        assert model.licence in {"MIT", "Apache-2.0", "BSD-2-Clause"}
        assert model.attribution
        assert all(file.sha256 for file in model.files), model.name


def test_whisper_sizes_of_the_settings_are_there() -> None:
    names = load_catalogue().names()
    for size in ("tiny", "base", "small", "medium", "large-v3", "large-v3-turbo"):
        assert f"whisper-{size}" in names


def test_hub_sources_name_whole_repositories() -> None:
    sources = [source for model in load_catalogue().models for source in model.sources if isinstance(source, HubSource)]
    assert sources
    assert all(source.hub.count("/") == 1 for source in sources)


def test_shipped_file_holds_no_address() -> None:
    text = resources.files("voice_agent.models").joinpath("catalogue.json").read_text(encoding="utf-8")
    assert "://" not in text
    json.loads(text)


def test_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(ModelError, match="wisper-tiny") as caught:
        load_catalogue().find("wisper-tiny")
    assert caught.value.code == "model.unknown"
    assert "whisper-tiny" in caught.value.remedy


def test_name_like_nothing_is_answered_with_all() -> None:
    with pytest.raises(ModelError) as caught:
        load_catalogue().find("zzz")
    assert "kokoro-82m" in caught.value.remedy


def _model(**changes: Any) -> dict[str, Any]:
    return {**model_entry("tiny", [file_entry("config.json", CONFIG)], [hub_source("config.json")]), **changes}


@pytest.mark.parametrize(
    "wrong",
    [
        _model(name="../up"),
        _model(name=".hidden"),
        _model(files=[file_entry("a/b", CONFIG)], sources=[hub_source("a/b")]),
        _model(files=[file_entry("config.json", CONFIG)] * 2),
        _model(sources=[hub_source("other.json")]),
        _model(sources=[]),
        _model(hashes="hub"),
        _model(files=[file_entry("config.json", CONFIG, pinned=False)]),
        _model(files=[{**file_entry("config.json", CONFIG), "sha256": "abc"}]),
        _model(kind="video"),
        _model(surprise=1),
    ],
)
def test_wrong_entry_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        catalogue_of(wrong)


def test_two_models_of_one_name_are_refused() -> None:
    with pytest.raises(ValidationError, match="twice"):
        catalogue_of(_model(), _model())
