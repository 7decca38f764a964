"""Texts without passwords: what goes to a terminal, a log or a result."""

import re
from urllib.parse import quote, unquote

# Where "name:80/…" is a host with its port. Anywhere else digits after a colon begin a password.
_WITH_PORTS = r"https?|s?ftps?|(?:web)?hdfs|tcp|grpc|ray"
# Where what comes before the "@" names a container, which is no secret, and says where it is.
_WITH_CONTAINER = r"abfss?|wasbs?"
# A user, a colon and a password, which may hold anything but blanks: up to the last "@". Of what is
# beyond the limit nothing is a password, and much of it would take long.
_LOGIN = r"[^/:\s\[]*:\S{0,1024}@"
_LOGINS = (
    # Here a password may hold slashes only where no "@" comes before them: that of a path stays.
    re.compile(
        rf"(?<![\w+.-])((?:{_WITH_PORTS})://)"
        rf"(?:[^/\s]*@|(?![^/:\s]*:\d+/){_LOGIN})",
        re.IGNORECASE,
    ),
    re.compile(
        rf"(?<![\w+.-])((?:{_WITH_CONTAINER})://[^/:@\s]*)"
        r"(?:(?<=//):\S{0,1024}@|:\S{0,1024}(?=@))",
        re.IGNORECASE,
    ),
    re.compile(
        rf"(?<![\w+.-])((?!(?:{_WITH_PORTS}|{_WITH_CONTAINER})://)[\w+.-]+://)"
        rf"(?:{_LOGIN}|[^/\s]*@)",
        re.IGNORECASE,
    ),
)
# Of signed URLs (of S3, Azure and Google), of databases and of options.
_OPTION = re.compile(
    r"((?:[?&;]|%3F|%26|%3B)"
    r"(?:[\w.-]{0,64}(?:key|secret|token|passw|passphrase|pwd|credential|sig|jwt|odbc_connect)[\w.-]{0,64}"
    r"|(?:[\w.-]{0,64}[_.-])?(?:pass|auth)(?:[_.-][\w.-]{0,64})?)"
    r"(?:=|%3D))[^&\s'\"]+",
    re.IGNORECASE,
)
# A URI as the value of an option, percent-encoded once or more.
_ENCODED = re.compile(
    r"(?<![\w+.-])[\w+.-]+(?!://)(?:%(?:25)*3A|:)(?:%(?:25)*2F|/){2}[^\s&'\"]*", re.IGNORECASE
)
# Nobody encodes a URI more often, but to have it decoded for ever.
_MOST_DECODINGS = 8


def without_passwords(text: str) -> str:
    """Return a text with users, passwords and signatures cut out of all its URIs.

    Where a URI has a password and a later ``@``, all up to that may be the password, and is cut.
    So is all of a URI that is percent-encoded more than eight times.
    """
    return _ENCODED.sub(_decoded_without, _cut(text))


def _cut(text: str) -> str:
    text = _OPTION.sub(r"\1…", text)
    for login in _LOGINS:
        text = login.sub(r"\1", text)
    return text


def _decoded_without(found: re.Match[str]) -> str:
    shown, is_cut = found[0], False
    for _ in range(_MOST_DECODINGS):
        # What is a password in one encoding may be two options in the next.
        plain = unquote(shown)
        shown = _cut(plain)
        is_cut = is_cut or shown != plain
        if not _ENCODED.search(shown):
            return quote(shown, safe=":/?&=,;@") if is_cut else found[0]
    return "…"
