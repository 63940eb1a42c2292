"""The password of a worker's ``auth_file``, for who listens, for who connects, and for the node that looks whether it can be read."""

from collections.abc import Mapping
from typing import Any


def read_secret(params: Mapping[str, Any]) -> bytes | None:
    """The password in ``auth_file``, without white space around it. Raises OSError; ValueError when the file is empty."""
    if "auth_file" not in params:
        return None
    with open(params["auth_file"], "rb") as file:
        secret = file.read(4096).strip()
    if not secret:
        raise ValueError(f"{params['auth_file']} holds no password")
    return secret
