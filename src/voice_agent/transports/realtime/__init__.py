"""The OpenAI Realtime protocol (GA shape) on the wire: events, the session's configuration, audio formats.

Knows nothing of conversations: api/realtime/ maps them onto this.
"""
