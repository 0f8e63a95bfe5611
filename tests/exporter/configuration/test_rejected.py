"""Files that are refused: one for each way to be wrong, with all that is said of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.configuration.loading import load
from exporter.configuration.model import ConfigurationError

REJECTED = Path(__file__).parent / "testdata" / "rejected"

PROBLEMS = {
    "syntax.yml": [
        "line 3: is not valid YAML: while parsing a flow mapping, expected ',' or '}', but got ':'",
    ],
    "tab.yml": [
        "line 2: is not valid YAML: while scanning for the next token, found character '\\t' that "
        "cannot start any token",
    ],
    "two-documents.yml": [
        "line 2: is not valid YAML: expected a single document in the stream, but found another document",
    ],
    "control-character.yml": [
        "line 2: is not valid YAML: special characters are not allowed",
    ],
    "duplicate-keys.yml": [
        "probes.web.url (line 3): is given twice, first in line 3",
        "probes.db (line 4): is given twice, first in line 2",
    ],
    "recursion.yml": [
        "probes.db (line 1): must not hold itself",
    ],
    "tag.yml": [
        "probes.db (line 2): must not have a tag (!python/object:os.system)",
    ],
    "key-is-a-list.yml": [
        "probes (line 2): must have names as its keys",
    ],
    "huge-number.yml": [
        "line 1: holds a value that cannot be read",
    ],
    "nested-too-deeply.yml": [
        "line 1: is nested too deeply",
    ],
    "list.yml": [
        "line 1: must be keys with values",
    ],
    "not-utf-8.yml": [
        "is not UTF-8 in line 2",
    ],
    "unknown-section.yml": [
        "probe (line 1): is not known here (did you mean probes?)",
    ],
    "unknown-key.yml": [
        "probes.web.prot (line 5): is not known here (did you mean port?)",
        "probes.web.expect.stauts (line 7): is not known here (did you mean status?)",
        "probes.web.expect.headers (line 8): is not known here",
    ],
    "no-type.yml": [
        "probes.db (line 2): must have a type",
    ],
    "unknown-type.yml": [
        "probes.db.type (line 4): must be http, https, tcp or websocket (did you mean https?)",
        "probes.mail.type (line 5): must be http, https, tcp or websocket",
    ],
    "no-probe.yml": [
        "probes.db (line 2): must be keys with values",
        "probes.web (line 3): must be keys with values",
    ],
    "missing.yml": [
        "probes.db.host (line 2): must be given",
        "probes.db.port (line 2): must be given",
    ],
    "wrong-kinds.yml": [
        "probes.db.host (line 2): must be a text: put it in quotes",
        "probes.db.port (line 2): must be a whole number",
        "probes.db2.host (line 3): must be a text",
        "probes.db2.port (line 3): must be at most 65535",
        "probes.web.tls (line 4): must be keys with values",
        "probes.web.max_body (line 4): must be at least 0",
        "probes.web.failure_threshold (line 4): must be a whole number",
        "probes.web2.headers.X-A (line 5): must be a text",
        "probes.web2.expect.status[1] (line 5): must be a status from 100 to 599, or a range of "
        'them such as "300-399"',
        "actions.a.retries (line 7): must be at most 100",
        "actions.a.run_on_start (line 7): must be true or false",
        "actions.b.on.workers.group (line 8): must not be empty",
        "actions.b.on.probes (line 8): must be a list",
        "brake.share (line 9): must be above 0",
        "brake.at_least (line 9): must be at least 1",
        "brake.then (line 9): must be 'run' or 'drop'",
        "concurrency (line 10): must be at least 1",
    ],
    "names.yml": [
        'probes."" (line 2): must not be empty',
        'probes."a\\nb" (line 3): must have no control characters',
        "probes.xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
        "xxxxxxxxxxxxxxxxxxxx (line 4): must have at most 100 characters",
    ],
    "defaults.yml": [
        "defaults.failure_threshold (line 1): must be at least 1",
        "defaults.success_threshold (line 1): must be at least 1",
        "defaults.port (line 1): is not known here",
    ],
    "durations.yml": [
        "defaults.interval (line 1): must be a duration such as 500ms, 60s, 5m or 1h",
        "defaults.timeout (line 1): must be 10ms to 1h",
        "probes.db.interval (line 3): must be 100ms to 1d",
        "probes.db.timeout (line 3): must be a duration such as 500ms, 60s, 5m or 1h",
        "actions.a.cooldown (line 5): must be a duration such as 500ms, 60s, 5m or 1h",
        "actions.a.backoff (line 5): must be a duration such as 500ms, 60s, 5m or 1h",
    ],
    "thresholds.yml": [
        "probes.db.failure_threshold (line 6): must be at least 1",
        "probes.db.success_threshold (line 7): must be at most 1000",
    ],
    "timeout-above-interval.yml": [
        "defaults.timeout (line 1): a timeout of 20s must not be above the interval of 10s",
        "probes.timeout.timeout (line 5): a timeout of 11s must not be above the interval of 10s",
        "probes.interval.interval (line 6): a timeout of 20s must not be above the interval of 15s",
        "probes.both.timeout (line 7): a timeout of 2s must not be above the interval of 1s",
    ],
    "no-such-file.yml": [
        "probes.web.bearer_token_file (line 5): there is no file DIRECTORY/nowhere/token",
        "probes.web.tls.ca_file (line 7): there is no file DIRECTORY/nowhere/ca.pem",
    ],
    "secrets.yml": [
        "probes.a.url (line 2): must not hold a user name or password: there are username and password_file",
        "probes.b.bearer_token (line 3): is not known here (did you mean bearer_token_file?)",
        "probes.c.password (line 4): is not known here (did you mean password_file?)",
    ],
    "two-requests.yml": [
        "probes.web (line 2): needs either a url, or a host with port and path",
        "probes.none (line 3): needs either a url, or a host with port and path",
    ],
    "wrong-scheme.yml": [
        "probes.web.url (line 2): must start with http://; for https:// say type: https",
        "probes.chat.url (line 3): must start with ws:// or wss://; for http:// say type: http",
    ],
    "hooks.yml": [
        "actions.number.promote (line 2): must be a command line, a list of words, or a webhook with its url",
        "actions.quote.promote (line 3): cannot be split into words: no closing quotation",
        "actions.empty.promote (line 4): must name a program",
        "actions.empty.demote (line 4): must name a program",
        "actions.words.promote[1] (line 5): must be a text: put it in quotes",
        "actions.webhook.promote.methd (line 6): is not known here (did you mean method?)",
        "actions.webhook.demote.url (line 6): must be a URL that begins with http:// or https:// "
        "and names a host",
        "actions.unknown.demote.command (line 7): must be given",
        "actions.unknown.demote.comand (line 7): is not known here (did you mean command?)",
    ],
    "unknown-action.yml": [
        "probes.db.action (line 2): there is no action ngnix (did you mean nginx?)",
        "probes.web.action (line 3): there is no action other",
    ],
    "unknown-probe.yml": [
        "actions.nginx.on.probes[1] (line 9): there is no probe databse (did you mean database?)",
    ],
    "action-without-hook.yml": [
        "actions.idle (line 2): must have promote, demote, or both",
    ],
    "no-section.ini": [
        "line 1: must begin with a section such as [general]",
    ],
    "no-value.ini": [
        "line 2: must be a [section], or key = value",
        "line 3: must be a [section], or key = value",
    ],
    "general.conf": [
        "[general] threads (line 2): must be at least 1",
        "[general] interval (line 3): must be a duration such as 500ms, 60s, 5m or 1h",
        "[general] daemonize (line 4): must be true or false",
    ],
    "no-check.conf": [
        "[promotion] (line 1): is no check: it has no type, hostname, port and action (did you "
        "mean promotions?)",
        "[General] (line 6): is no check: it has no type, hostname, port and action (did you mean general?)",
    ],
    "check.conf": [
        "[partial] hostname (line 6): must be given",
        "[partial] port (line 6): must be given",
        "[partial] action (line 6): must be given",
        "[wrong] type (line 10): must be 'http', 'https' or 'tcp'",
        "[numbers] hostname (line 17): must be a host name or an IP address",
        "[numbers] port (line 18): must be at least 1",
        "[late] port (line 24): must be a whole number",
        "[late] timeout (line 25): must be a duration such as 500ms, 60s, 5m or 1h",
    ],
    "default.conf": [
        "[DEFAULT] hostname (line 2): must be a host name or an IP address",
    ],
    "actions.conf": [
        "[promotions] quote (line 3): cannot be split into words: no closing quotation",
        "[demotions] empty (line 6): must name a program",
        "[one] action (line 12): there is no nginx in [demotions]",
        "[none] action (line 18): there is no ngin in [promotions] and [demotions] (did you mean nginx?)",
        "[wrong type] type (line 21): must be 'http', 'https' or 'tcp'",
        "[wrong type] action (line 24): there is no quote in [demotions]",
    ],
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_rejected(name: str) -> None:
    """Every problem is named at once, with its place, and nothing that is no problem."""
    with pytest.raises(ConfigurationError) as refused:
        load(REJECTED / name)
    said = [str(problem).replace(str(REJECTED), "DIRECTORY") for problem in refused.value.problems]
    assert said == PROBLEMS[name]
    assert str(refused.value).splitlines()[0].startswith(f"{REJECTED / name}: ")


def test_every_file_is_tested() -> None:
    """None lies there for nothing."""
    assert {path.name for path in REJECTED.iterdir()} == PROBLEMS.keys()


def test_no_secret_is_repeated() -> None:
    """Whoever wrote a secret into the file finds it in no message."""
    with pytest.raises(ConfigurationError) as refused:
        load(REJECTED / "secrets.yml")
    assert "geheim" not in f"{refused.value} {refused.value!r}"
