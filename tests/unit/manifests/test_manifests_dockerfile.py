"""What the Dockerfile must hold; building it needs a container engine and is not done here."""

import re
from pathlib import Path

import pytest

from whatsam_local.programs import engine

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8")
STAGES = {match["name"]: match for match in re.finditer(r"^FROM (?P<of>\S+) AS (?P<name>\S+)$", TEXT, re.MULTILINE)}


def body(stage: str) -> str:
    start = STAGES[stage].end()
    following = [match.start() for match in STAGES.values() if match.start() > start]
    return TEXT[start : min(following, default=len(TEXT))]


@pytest.mark.parametrize("part", ["operator", "connector", "api"])
def test_each_part_has_a_target_that_starts_it(part: str) -> None:
    assert STAGES[part]["of"] == ("runtime-api" if part == "api" else "runtime")
    assert f'ENTRYPOINT ["whatsam-{part}"]' in body(part)
    assert f"COPY --from=build-{part} " in body(part)
    assert f'"${{wheel}}[{part}]"' in body(f"build-{part}")
    assert "RUN" not in body(part)


def test_nothing_runs_as_root_in_the_end_and_the_user_is_a_number() -> None:
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", body("runtime"), re.MULTILINE)
    assert "RUN" not in body("runtime")


def test_what_the_api_needs_of_the_system_is_installed_as_root_and_run_as_nobody() -> None:
    assert STAGES["runtime-api"]["of"] == "runtime"
    users = re.findall(r"^USER (\S+)$", body("runtime-api"), re.MULTILINE)
    assert users == ["0:0", "10001:10001"]
    assert " ffmpeg " in body("runtime-api")


def test_the_base_image_can_be_chosen() -> None:
    assert TEXT.splitlines()[2] == "ARG BASE_IMAGE=python:3.13-slim"
    for name in ("build", "runtime"):
        assert STAGES[name]["of"] == "${BASE_IMAGE}"


def test_the_connector_alone_has_the_engine_in_go_and_it_is_not_the_simulators() -> None:
    assert STAGES["build-engine"]["of"] == "${GO_IMAGE}"
    assert "COPY --from=build-engine /out/whatsam-engine /opt/whatsam/bin/whatsam-engine" in body("connector")
    assert TEXT.count("--from=build-engine") == 1
    assert "overlay" not in TEXT
    assert not re.search(r"^COPY .*simulator", body("build-engine"), re.MULTILINE)


def test_the_image_is_built_with_the_flags_of_every_other_build() -> None:
    program = engine(ROOT, simulator=False)
    flags = " ".join(program.flags).replace("-ldflags=", '-ldflags="', 1) + '"'
    assert f"go build {flags} -o /out/whatsam-engine {program.package}\n" in body("build-engine")


def test_what_is_copied_is_not_ignored() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    copied = {
        word
        for stage in ("build", "build-engine")
        for line in re.findall(r"^COPY (?!--)(.+) \S+$", body(stage), re.MULTILINE)
        for word in line.split()
    }
    assert {source.partition("/")[0] for source in copied} == {line[1:] for line in ignored if line.startswith("!")}
    assert all((ROOT / source).exists() for source in copied)
