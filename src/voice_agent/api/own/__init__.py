"""Our own API under /api: sessions, what happens in them, what the web page needs to know, the state of the engines."""
