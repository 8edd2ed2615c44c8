"""Which programs of this checkout are built, and in which variants. Called by `up`, `build` and by tests."""

from dataclasses import replace
from functools import cache
from pathlib import Path

from rich.console import Console

from whatsam_local.builder import Builder, GoProgram, cache_directory
from whatsam_local.layout import Layout
from whatsam_local.progress import Reporter
from whatsam_local.settings import LocalSettings

KUBERNETES = "v1.36.3"
_VERSION_PACKAGES = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
_VARIANT = "whatsam-engine-for-the-simulator"
_FAULTY = "whatsam-engine-with-faulty-files"


def control_plane(checkout: Path) -> GoProgram:
    """etcd, API server, controller manager and scheduler in one binary."""
    return GoProgram(
        name="controlplane",
        described=f"the Kubernetes {KUBERNETES} control plane (once; 6-7 minutes on 2 cores)",
        sources=checkout / "local" / "controlplane",
        link=(
            "-s",
            "-w",
            *(f"-X {package}.gitVersion={KUBERNETES}" for package in _VERSION_PACKAGES),
            # What discovery compares; the package's defaults are empty.
            "-X k8s.io/component-base/version.gitMajor=1",
            "-X k8s.io/component-base/version.gitMinor=36",
        ),
    )


def engine(checkout: Path, *, simulator: bool) -> GoProgram:
    """The engine of pools with `engine: whatsmeow`.

    `simulator`: the variant that trusts the simulator's root key, for tests and the local cluster. What makes it so is
    compiled in from the simulator's folder; no setting of the genuine program does it.
    """
    return GoProgram(
        name=_VARIANT if simulator else "whatsam-engine",
        described=f"the engine in Go{' for the simulator' if simulator else ''} (75-150 seconds the first time)",
        sources=checkout / "engine-go",
        package="./cmd/whatsam-engine",
        added=(checkout / "simulator" / "whatsam_simulator" / "hook" / "simulator_root.go",) if simulator else (),
    )


def faulty_engine(checkout: Path) -> GoProgram:
    """The engine for the simulator, with a journal whose disk can be told to be slow, full, broken or without power."""
    hooks = checkout / "simulator" / "whatsam_simulator" / "hook"
    return replace(
        engine(checkout, simulator=True),
        name=_FAULTY,
        described="the engine in Go with a disk that fails on demand (75-150 seconds the first time)",
        replaced=(("internal/journal/files.go", hooks / "journal_files.go"),),
    )


def build(program: GoProgram, reporter: Reporter) -> Path:
    """The binary of a program, from the cache or built now. Raises BuildFailedError."""
    return Builder(program, cache_directory(LocalSettings.load().cache_home)).ensure(reporter)


@cache
def simulator_engine() -> Path:
    """For tests: the engine that speaks to the simulator, built on first use. Raises BuildFailedError."""
    return _built(engine(Layout.find().checkout, simulator=True))


@cache
def engine_with_faulty_files() -> Path:
    """For tests: `faulty_engine`, built on first use. Raises BuildFailedError."""
    return _built(faulty_engine(Layout.find().checkout))


def _built(program: GoProgram) -> Path:
    if LocalSettings.load().engine_race:
        described = program.described.replace(" (", ", with the race detector (")
        program = replace(program, name=f"{program.name}-race", described=described, race=True)
    with Reporter(Console(stderr=True, highlight=False)) as reporter:
        return build(program, reporter)
