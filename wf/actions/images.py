"""Image names as workflows write them."""

import re

from wf.actions.base import Complain
from wf.plan import RegistryImage


def registry_image(written: str, complain: Complain) -> RegistryImage:
    """The image that `with.image` names, complaining if no engine could understand the name."""
    ref = re.sub(r"^https?://", "", written.strip())
    if ref != written:
        complain(f"the image is read as `{ref}`", "with", "image", is_warning=True)
    if not re.fullmatch(r"[a-z0-9][A-Za-z0-9._:/@-]*", ref):
        complain(f"`{written}` is not the name of an image", "with", "image", hint="for example `python:3.11-slim`")
    return RegistryImage(ref)
