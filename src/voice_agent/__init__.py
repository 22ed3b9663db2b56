"""A self-hosted real-time voice agent."""
