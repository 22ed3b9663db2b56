"""One typed tree of settings, and where each value came from."""

from voice_agent.settings.load import LoadedSettings, Setting, load_settings
from voice_agent.settings.tree import Settings

__all__ = ["LoadedSettings", "Setting", "Settings", "load_settings"]
