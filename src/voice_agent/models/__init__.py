"""Model weights: the catalogue of what can be fetched, and the store that fetches and checks it."""

from voice_agent.models.catalogue import Catalogue, Model, ModelFile, default_models, load_catalogue
from voice_agent.models.progress import FetchPhase, FetchProgress
from voice_agent.models.store import ModelState, ModelStore, Verification, default_root

__all__ = [
    "Catalogue",
    "FetchPhase",
    "FetchProgress",
    "Model",
    "ModelFile",
    "ModelState",
    "ModelStore",
    "Verification",
    "default_models",
    "default_root",
    "load_catalogue",
]
