"""The image table follows its file."""

import json
from pathlib import Path
from typing import Any

import pytest

from whatsam_local.node.environment import Image
from whatsam_local.node.errors import ConfigError
from whatsam_local.node.images import ImageTable, parse_table


def test_entries() -> None:
    table = parse_table('{"a": {"entrypoint": ["x"], "cmd": ["y"], "env": {"N": 1}, "cwd": "/w"}, "b": {}}')
    assert table == {"a": Image(["x"], ["y"], {"N": "1"}, "/w"), "b": Image()}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "must be an object"),
        ('{"a": {"entrypoint": "x"}}', "list of strings"),
        ('{"a": {"cmd": [1]}}', "list of strings"),
        ('{"a": {"command": []}}', "unknown keys"),
        ('{"a": 1}', "image 'a'"),
    ],
)
def test_what_is_wrong_is_named(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_table(text)


def write(path: Path, table: Any) -> None:
    new = path.with_suffix(".new")
    new.write_text(table if isinstance(table, str) else json.dumps(table))
    new.rename(path)


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "images.json"
    write(path, {"a": {"entrypoint": ["old"]}})
    images = ImageTable(path)
    assert images.find("a") == Image(["old"])
    write(path, {"a": {"entrypoint": ["new"]}, "b": {}})
    assert images.find("a:tag") == Image(["new"])
    assert images.find("b") == Image()


def test_a_file_that_became_wrong_leaves_the_last_good_table(tmp_path: Path) -> None:
    path = tmp_path / "images.json"
    write(path, {"a": {}})
    images = ImageTable(path)
    write(path, "{")
    assert images.find("a") == Image()
    path.unlink()
    assert images.find("a") == Image()


def test_a_wrong_file_is_refused_at_start(tmp_path: Path) -> None:
    (tmp_path / "images.json").write_text("{")
    with pytest.raises(ConfigError):
        ImageTable(tmp_path / "images.json")


def test_no_file_no_images() -> None:
    assert ImageTable(None).find("a") is None
