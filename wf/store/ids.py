"""Names that nobody has to think of."""

import random
import string

_ALPHABET = string.ascii_lowercase + string.digits
_SYSTEM = random.SystemRandom()


def new_id(length: int, prefix: str = "") -> str:
    """The prefix, and so many random lower-case letters and digits."""
    return prefix + "".join(_SYSTEM.choices(_ALPHABET, k=length))
