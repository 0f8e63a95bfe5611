"""What is secret is not shown."""

from __future__ import annotations

import time

import pytest

from worker_agent.masking import masked, names_secret


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("nothing to hide", "nothing to hide"),
        ("redis://user:s3cret@host:6379/0", "redis://user:****@host:6379/0"),
        ("redis://:s3cret@host", "redis://:****@host"),
        ("amqp://user:s3c@ret@host//", "amqp://user:****@host//"),
        ("redis://user:s3/cr?et@host:1/0", "redis://user:****@host:1/0"),
        ("redis://host:6379/0", "redis://host:6379/0"),
        ("http://host:80/?to=a@b and http://[::1]:80/a@b", "http://host:80/?to=a@b and http://[::1]:80/a@b"),
        ("from redis://a:b@c to redis://d:e@f", "from redis://a:****@c to redis://d:****@f"),
        ("host=db password=s3cret dbname=x", "host=db password=**** dbname=x"),
        ("password = 's3 cr\\'et' user=x", "password = **** user=x"),
        ('PGPASSWORD="s3 cret"', "PGPASSWORD=****"),
        ("https://host/?api_key=s3cret&page=2", "https://host/?api_key=****&page=2"),
        ("AWS_SECRET_ACCESS_KEY=s3cret;", "AWS_SECRET_ACCESS_KEY=****;"),
        ("my.db-token.old=s3cret", "my.db-token.old=****"),
        ("{'password': 's3cret', 'user': 'x'}", "{'password': ****, 'user': 'x'}"),
        ('{"api_key":"s3\\"cret","n":1}', '{"api_key":****,"n":1}'),
        ("{'token': b's3cret'} {'token': s3cret}", "{'token': ****} {'token': ****}"),
        ("Authorization: Bearer s3cret, x", "Authorization: Bearer ****, x"),
        ("bad token: expected a digit", "bad token: expected a digit"),
        ("tokens are short, the password is long", "tokens are short, the password is long"),
    ],
)
def test_masked(text: str, shown: str) -> None:
    """Passwords of URLs and the values of what is called a secret give way to a mask; nothing else does."""
    assert masked(text) == shown


@pytest.mark.parametrize(
    "piece",
    [
        "a.",
        "password",
        "password.",
        "://",
        "://a:",
        "secret = ",
        "token= '",
        "token'  :",
        "authorization: x ",
    ],
)
def test_long_text(piece: str) -> None:
    """However a text repeats itself, its masking takes no time that would hold up an event loop."""
    began = time.process_time()
    masked(piece * (4000 // len(piece)))
    assert time.process_time() - began < 0.2


def test_names_of_secrets() -> None:
    """A name says that something is a secret, whatever is before or after that in it."""
    names = ["password", "DB_PASSWORD", "api-key", "tokens.old", "user", "pass", "key", ""]
    assert [name for name in names if names_secret(name)] == names[:4]
