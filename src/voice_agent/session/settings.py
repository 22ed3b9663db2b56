"""What a session can be told, and what one reply can."""

from dataclasses import dataclass, field

from voice_agent.conversation.settings import ConversationSettings
from voice_agent.engines.base import Message, Tool
from voice_agent.session.listening import ListeningSettings
from voice_agent.session.prompt import PromptSettings
from voice_agent.session.replying import VoiceSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSettings:
    """Everything that a session can be told."""

    conversation: ConversationSettings = field(default_factory=ConversationSettings)
    listening: ListeningSettings = field(default_factory=ListeningSettings)
    prompt: PromptSettings = field(default_factory=PromptSettings)
    voice: VoiceSettings = field(default_factory=VoiceSettings)
    max_tokens: int = 300
    temperature: float = 0.6
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"
    spoken: bool = True
    """False: replies are text only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyOptions:
    """What a client asks of one reply; None is the session's."""

    instructions: str = ""
    max_tokens: int | None = None
    tools: tuple[Tool, ...] | None = None
    tool_choice: str | None = None
    spoken: bool | None = None
    voice: str | None = None
    context: tuple[Message, ...] | None = None
    """Instead of the transcript: what the model reads behind the system prompt."""
    request_id: str = ""
    """Comes back in the `StartReply` that observers see."""
