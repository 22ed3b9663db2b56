"""The server: HTTP and WebSocket routes in front of sessions. `create_app` (app.py) puts it together."""
