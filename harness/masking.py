"""What libraries say, as one line for a screen, without the passwords of addresses."""

import re

_IN_ADDRESS = re.compile(r"(://[^\s:/@]*):\S*@")  # up to the last @: a password may hold one, or a slash
_IN_QUERY = re.compile(r"([?&][^\s=&]*(?:password|passwd|pwd|secret|token)[^\s=&]*)=[^\s&]*", re.IGNORECASE)


def masked(text: str) -> str:
    """Return a text with *** for the password of each address in it, before its host or in its query."""
    return _IN_QUERY.sub(r"\1=***", _IN_ADDRESS.sub(r"\1:***@", text))


def words_of(error: BaseException) -> str:
    """Return what an exception says as one line, the passwords of addresses left out."""
    return masked(" ".join(str(error).split()) or type(error).__name__)
