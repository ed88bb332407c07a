"""Image names as workflows write them."""

import re
from typing import Final

from wf.actions.base import Complain
from wf.plan import RegistryImage

_SCHEME: Final = re.compile(r"^https?://")
_NAME: Final = re.compile(r"[a-z0-9][A-Za-z0-9._:/@-]*")


def registry_image(written: str, complain: Complain) -> RegistryImage:
    """The image that `with.image` names, complaining if no engine could understand the name."""
    ref = _SCHEME.sub("", written.strip())
    if ref != written:
        complain(f"the image is read as `{ref}`", "with", "image", is_warning=True)
    if not _NAME.fullmatch(ref):
        complain(f"`{written}` is not the name of an image", "with", "image", hint="for example `python:3.11-slim`")
    return RegistryImage(ref)
