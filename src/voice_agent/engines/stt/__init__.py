"""Speech to text: one file per engine over the streaming behaviour that all of them share (stream.py)."""
