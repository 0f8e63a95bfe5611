"""Which format a file is in."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.configuration import loading
from exporter.configuration.loading import load
from exporter.configuration.model import Configuration, ConfigurationError

YAML = "# comment\nconcurrency: 7\n"
INI = "# comment\n; another\n\n[general]\nthreads = 7\n"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("probes.yml", YAML),
        ("probes.YAML", YAML),
        ("probes.json", '{"concurrency": 7}'),
        ("probes", YAML),
        ("probes.conf", YAML),
        ("heartbeat.ini", INI),
        ("heartbeat.conf", INI),
        ("heartbeat", INI),
        ("heartbeat.conf", INI.replace("\n", "\r\n")),
        ("heartbeat.conf", "\ufeff[general] ; as some editors write it\nthreads = 7\n"),
    ],
)
def test_by_suffix_or_content(name: str, text: str, tmp_path: Path) -> None:
    """A suffix that says it decides; else a file that begins with a section is INI."""
    path = tmp_path / name
    path.write_bytes(text.encode())
    assert load(path).concurrency == 7


@pytest.mark.parametrize("name", ["probes.yml", "probes", "probes.conf"])
def test_an_empty_file(name: str, tmp_path: Path) -> None:
    """Says nothing, and that is not wrong."""
    path = tmp_path / name
    path.touch()
    assert load(path) == Configuration()


def test_the_suffix_wins(tmp_path: Path) -> None:
    """Whoever calls it YAML is told what is wrong with it as YAML."""
    path = tmp_path / "heartbeat.yml"
    path.write_text("[general]\n")
    with pytest.raises(ConfigurationError, match="line 1: must be keys with values"):
        load(path)


def test_files_are_found_beside_the_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the exporter was started."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/token").touch()
    (tmp_path / "etc/probes.yml").write_text(
        "probes: {web: {type: http, url: http://a, bearer_token_file: token}}"
    )
    monkeypatch.chdir(tmp_path)
    (probe,) = load(Path("etc/probes.yml")).probes
    assert probe.options.model_dump()["bearer_token_file"] == tmp_path / "etc/token"


def test_what_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is said with the file's name, and why."""
    monkeypatch.setattr(loading, "_LARGEST", 1024**2)
    large = tmp_path / "large.yml"
    large.write_bytes(b"#" * (1024**2 + 1))
    said = []
    for path in (tmp_path / "absent.yml", tmp_path, large):
        with pytest.raises(ConfigurationError) as refused:
            load(path)
        said.append(str(refused.value))
    assert said == [
        f"{tmp_path}/absent.yml: cannot be read: No such file or directory",
        f"{tmp_path}: cannot be read: Is a directory",
        f"{large}: is larger than 1 MiB",
    ]
