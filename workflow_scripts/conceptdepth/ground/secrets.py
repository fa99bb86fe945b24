"""What is not to be told: users and passwords in addresses, and tokens of the environment."""

import os
import re

TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
"""Environment variables that hold tokens."""

_LOGIN = re.compile(r"://[^/\s]+@")


def public(text: str) -> str:
    """Return a text without secrets: logs and messages are passed on, with a question or in an archive."""
    for token in map(os.environ.get, TOKENS):
        if token and len(token) >= 8:  # What is shorter is no token, and may be part of any word.
            text = text.replace(token, "***")
    return _LOGIN.sub("://***@", text)
