"""The page at ``GET /``: one self-contained document, live by the event stream, that asks nothing of any other host.

Owns the document and its content security policy: only the script and style that are in it may run, so that nothing a worker
says can become code. The page shows; it changes nothing.
"""

import base64
import hashlib
import re
from importlib import resources
from typing import Final

from fastapi import FastAPI
from starlette.responses import HTMLResponse

DOCUMENT: Final = "page.html"
_INLINE: Final = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)


def add_page(app: FastAPI) -> None:
    """Serve the page at ``/``. It is left out of the OpenAPI document: it is for people."""
    document = resources.files(__package__).joinpath(DOCUMENT).read_text(encoding="utf-8")
    headers = {
        "content-security-policy": content_security_policy(document),
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cache-control": "no-cache",
    }

    async def page() -> HTMLResponse:
        return HTMLResponse(document, headers=headers)

    app.add_api_route("/", page, include_in_schema=False, response_class=HTMLResponse)


def content_security_policy(document: str) -> str:
    """Allows exactly the inline script and style of ``document``, named by their hashes, and requests to the node itself."""
    allowed: dict[str, list[str]] = {"script": [], "style": []}
    for match in _INLINE.finditer(document):
        digest = base64.b64encode(hashlib.sha256(match.group(2).encode("utf-8")).digest()).decode("ascii")
        allowed[match.group(1)].append(f"'sha256-{digest}'")
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {' '.join(allowed['script'])}",
            f"style-src {' '.join(allowed['style'])}",
            "connect-src 'self'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )
