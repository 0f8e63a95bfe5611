from __future__ import annotations

from typing import Any

import pytest

from exporter.probes.http import HttpOptions, HttpsOptions
from tests.exporter.probes.rejections import rejections


def test_defaults() -> None:
    """A host is enough; redirects are followed, and any 2xx is a success."""
    options = HttpOptions(host="web")
    assert options.target == "http://web:80/"
    assert (options.method, options.redirects, options.max_body) == ("GET", 10, 1_048_576)
    assert options.expect.status == ("200-299",)
    assert HttpsOptions(host="web").target == "https://web:443/"


@pytest.mark.parametrize(("given", "followed"), [("none", 0), ("follow", 10), (3, 3), ("3", 3)])
def test_redirects(given: Any, followed: int) -> None:
    """How many redirects are followed can be said in words or as a number."""
    assert HttpOptions(host="web", redirects=given).redirects == followed


def test_statuses() -> None:
    """Statuses come as a list or alone, as numbers, texts and ranges."""
    given = {"host": "web", "expect": {"status": [200, "204", "300-399"]}}
    assert HttpOptions.model_validate(given).expect.status == (200, 204, "300-399")
    assert HttpOptions.model_validate({"host": "web", "expect": {"status": 404}}).expect.status == (404,)


STATUS = 'must be a status from 100 to 599, or a range of them such as "300-399"'
REDIRECTS = "redirects: must be none, follow, or how many are followed, up to 50"


@pytest.mark.parametrize(
    ("options", "problems"),
    [
        ({"expect": {"status": ["2xx", 99]}}, [f"expect.status.0: {STATUS}", f"expect.status.1: {STATUS}"]),
        ({"expect": {"status": "399-300"}}, [f"expect.status.0: {STATUS}"]),
        (
            {"expect": {"status": []}},
            ["expect.status: Value should have at least 1 item after validation, not 0"],
        ),
        (
            {"expect": {"body": "/(/"}},
            ["expect.body: is no regular expression: missing ), unterminated subpattern at position 0"],
        ),
        ({"expect": {"bodies": "x"}}, ["expect.bodies: Extra inputs are not permitted"]),
        ({"redirects": "some"}, [REDIRECTS]),
        ({"redirects": 51}, [REDIRECTS]),
        ({"redirects": True}, [REDIRECTS]),
        ({"method": "GET /"}, ["method: must be a method like GET"]),
        (
            {"method": "HEAD", "expect": {"body": "x"}},
            ["expects a body, which an answer to HEAD does not have"],
        ),
        ({"max_body": -1}, ["max_body: Input should be greater than or equal to 0"]),
        ({"timeout": 5}, ["timeout: Extra inputs are not permitted"]),
    ],
)
def test_rejected(options: dict[str, Any], problems: list[str]) -> None:
    """What cannot be meant is said with its place."""
    assert rejections("http", host="web", **options) == problems
