"""Which repositories and versions of them `git-checkout@v1` takes. Anything else could make git run programs."""

import re
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from msgspec import Struct

PROTOCOLS: Final = ("https", "http", "ssh")

_SCP: Final = re.compile(r"[A-Za-z0-9_][\w.-]*@[A-Za-z0-9][A-Za-z0-9.-]*:[^-:\s][^\s]*")
_REF: Final = re.compile(r"[A-Za-z0-9_.+@#=%,][^\s~^:?*\[\\\x00-\x20\x7f]*")


class Remote(Struct, frozen=True):
    """A repository on the network, and who asks for it."""

    url: str
    """Without a password."""
    username: str = ""
    password: str = ""

    @property
    def host(self) -> str:
        """Scheme and host, for which alone the password is meant; nothing for ssh."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}" if parts.scheme in ("https", "http") else ""


def url_problem(url: str) -> str:
    """Why git is not given this URL, or nothing."""
    if _SCP.fullmatch(url):
        return ""
    scheme, separator, rest = url.partition("://")
    if separator and scheme.lower() in PROTOCOLS:
        bad = rest.startswith("-") or "@-" in rest or re.search(r"[\s\x00-\x20]", url) or not _host_of(url)
        return "it is not a URL" if bad else ""
    return "write `https://...`, `http://...`, `ssh://...` or `git@HOST:PATH`"


def _host_of(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:  # brackets that hold no address
        return None


def ref_problem(ref: str) -> str:
    """Why this cannot be a branch, a tag or a commit, or nothing."""
    if _REF.fullmatch(ref) and ".." not in ref and "@{" not in ref:
        return ""
    return "write a branch, a tag or a commit"


def read_remote(url: str, username: str, password: str) -> Remote:
    """Take user and password out of a URL, so that git never shows or keeps them. The URL has no problem."""
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http") or "@" not in parts.netloc:
        return Remote(url, username, password)
    user, _, host = parts.netloc.rpartition("@")
    name, _, secret = user.partition(":")
    return Remote(parts._replace(netloc=host).geturl(), username or unquote(name), password or unquote(secret))


def quoted(text: str) -> str:
    """Safe in a configuration key of git."""
    return quote(text, safe=":/.-_[]")
