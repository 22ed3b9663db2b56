"""A conversation over the OpenAI Realtime protocol: a client's events become those of a session, and a session's its.

No second conversation is held here. Items are the transcript's, responses are the machine's replies; what is kept is only how
far each has been told to the client.
"""
