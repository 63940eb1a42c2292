"""The page is one document that asks nothing of any other host, and nothing but its own script may run."""

import re
from importlib import resources

import httpx

from foreman.api.app import create_app
from foreman.testing.fake_foreman import FakeForeman
from foreman.web.page import add_page, content_security_policy


async def test_the_page_is_served_with_a_policy_that_names_its_own_script() -> None:
    app = create_app(FakeForeman())
    add_page(app)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://foreman") as http:
        answer = await http.get("/")
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert policy == content_security_policy(answer.text)
    assert re.search(r"script-src 'sha256-[A-Za-z0-9+/]{43}='", policy)
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy


def test_the_page_names_no_other_host_and_makes_no_markup_of_text() -> None:
    text = resources.files("foreman.web").joinpath("page.html").read_text(encoding="utf-8")
    assert not re.findall(r"(?:src|href)\s*=\s*[\"']?(?:https?:)?//", text)
    assert not re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text)
    assert " style=" not in text, "the policy allows no inline attributes"
