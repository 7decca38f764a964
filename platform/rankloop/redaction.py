"""Texts without passwords: what goes to a terminal, a log or a result."""

import re

# User and password before the host, where a password may hold slashes, but a port is none.
_LOGIN = re.compile(r"(?<=://)(?:[^/\s]*@|[^/@\s:]+:(?!\d+(?:/|\s|$))[^@\s]*@)")
# Of signed URLs (of S3, Azure and Google) and of options.
_OPTION = re.compile(
    r"(?<=[?&;])([\w.-]*(?:key|secret|token|password|credential|signature|sig)[\w.-]*=)[^&#\s'\"]+",
    re.IGNORECASE,
)


def without_passwords(text: str) -> str:
    """Return a text with users, passwords and signatures cut out of all its URIs."""
    return _OPTION.sub(r"\1…", _LOGIN.sub("", text))
