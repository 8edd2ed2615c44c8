"""A composed root shows everything the machine has, makes every mount point, and writes nothing to the machine."""

from collections.abc import Iterable
from pathlib import PurePosixPath

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from whatsam_local.node.errors import ConfigError
from whatsam_local.node.root_plan import FRESH, SPECIAL, Action, Kind, Mount, RootPlan, Source, plan_root

Path = PurePosixPath


class FakeMachine:
    """A file system of directories, files ("") and links ("-> target")."""

    def __init__(self, tree: dict[str, str], unreadable: Iterable[str] = ()) -> None:
        self.tree: dict[Path, tuple[Kind, str]] = {Path("/"): (Kind.DIRECTORY, "")}
        self.unreadable = {Path(path) for path in unreadable}
        for name, what in tree.items():
            path = Path(name)
            for parent in path.parents:
                self.tree.setdefault(parent, (Kind.DIRECTORY, ""))
            if what.startswith("-> "):
                self.tree[path] = (Kind.LINK, what[3:])
            else:
                self.tree[path] = (Kind.FILE if what == "file" else Kind.DIRECTORY, "")

    def kind(self, path: Path) -> Kind | None:
        return self.tree[path][0] if path in self.tree else None

    def entries(self, path: Path) -> list[tuple[str, Kind]]:
        if path in self.unreadable:
            raise PermissionError(path)
        return [(entry.name, kind) for entry, (kind, _) in self.tree.items() if entry != path and entry.parent == path]

    def target(self, path: Path) -> str:
        return self.tree[path][1]


MACHINE = {
    "/bin": "-> usr/bin",
    "/usr/bin/sh": "file",
    "/etc/hosts": "file",
    "/etc/passwd": "file",
    "/etc/resolv.conf": "-> ../run/systemd/resolve/stub-resolv.conf",
    "/run/systemd/resolve/stub-resolv.conf": "file",
    "/run/user": "-> /etc",
    "/var/run": "-> /run",
    "/var/lib/dpkg/status": "file",
    "/var/tmp": "",
    "/root/code/main.py": "file",
    "/tmp/checkout/.venv/bin/python": "file",
    "/srv/project/.local/node/pods": "",
    "/proc/self": "file",
    "/dev/null": "file",
    "/sys/class": "",
}


def volume(destination: str, *, directory: bool = True) -> Mount:
    return Mount(Path(destination), Source.BIND, path=f"/volume{destination}", directory=directory)


class Composed:
    """The new root that a plan makes, for questions."""

    def __init__(self, machine: FakeMachine, plan: RootPlan) -> None:
        self.made: dict[Path, Action] = {}
        for step in plan.steps:
            assert step.path not in self.made, "nothing is made twice"
            assert step.path.parent == Path("/") or self.made.get(step.path.parent) is Action.MAKE_DIRECTORY
            self.made[step.path] = step.action
        self.machine = machine
        self.covered: dict[Path, Mount] = {}
        for mount in plan.mounts:
            inside = any(parent in self.covered for parent in mount.destination.parents)
            # a mount point inside an earlier mount is made there; any other must exist in the base
            assert inside or self.kind(mount.destination) is not None, mount
            assert not any(mount.destination in m.parents for m in self.covered), "none hides an earlier, deeper one"
            self.covered[mount.destination] = mount

    def kind(self, path: Path) -> Kind | None:
        """What is seen at a path of the base, mounts left aside."""
        if path == Path("/"):
            return Kind.DIRECTORY
        action = self.made.get(path)
        if action in (Action.MAKE_DIRECTORY, Action.SHOW_DIRECTORY):
            return Kind.DIRECTORY
        if action in (Action.MAKE_FILE, Action.SHOW_FILE):
            return Kind.FILE
        if action is Action.MAKE_LINK:
            return Kind.LINK
        shown = any(self.made.get(parent) is Action.SHOW_DIRECTORY for parent in path.parents)
        return self.machine.kind(path) if shown else None


def compose(volumes: list[Mount], **kwargs: list[str]) -> Composed:
    machine = FakeMachine(MACHINE)
    return Composed(machine, plan_root(machine, volumes, kwargs.get("visible", []), kwargs.get("hidden", [])))


def test_without_volumes_only_the_top_and_home_are_taken_apart() -> None:
    root = compose([])
    assert root.made[Path("/usr")] is Action.SHOW_DIRECTORY
    assert root.made[Path("/bin")] is Action.MAKE_LINK
    assert root.made[Path("/root")] is Action.MAKE_DIRECTORY
    assert root.made[Path("/root/code")] is Action.SHOW_DIRECTORY
    assert not any(path.parts[1] in SPECIAL for path in root.made)
    assert set(map(str, root.covered)) == set(FRESH)


def test_a_missing_mount_point_shadows_its_ancestors_only() -> None:
    root = compose([volume("/var/lib/whatsam/sessions")])
    assert root.made[Path("/var/lib")] is Action.MAKE_DIRECTORY
    assert root.made[Path("/var/lib/dpkg")] is Action.SHOW_DIRECTORY
    assert root.made[Path("/var/run")] is Action.MAKE_LINK
    assert root.made[Path("/var/lib/whatsam/sessions")] is Action.MAKE_DIRECTORY
    assert root.made[Path("/usr")] is Action.SHOW_DIRECTORY


def test_an_existing_mount_point_shadows_nothing() -> None:
    root = compose([volume("/etc/hosts", directory=False), volume("/usr/bin")])
    assert root.made[Path("/etc")] is Action.SHOW_DIRECTORY


def test_links_are_followed_inside_the_new_root() -> None:
    """Trap 9: /var/run is a link, and following it outside would write to the machine."""
    root = compose(
        [volume("/var/run/secrets/kubernetes.io/serviceaccount"), volume("/etc/resolv.conf", directory=False)]
    )
    assert Path("/run/secrets/kubernetes.io/serviceaccount") in root.covered
    assert Path("/run/systemd/resolve/stub-resolv.conf") in root.covered


def test_links_below_a_fresh_directory_do_not_count() -> None:
    root = compose([volume("/run/user/x")])
    assert Path("/run/user/x") in root.covered


def test_a_checkout_in_tmp_stays_visible_and_the_state_in_it_hidden() -> None:
    root = compose(
        [volume("/tmp")], visible=["/tmp/checkout", "/usr"], hidden=["/tmp/checkout/.venv", "/srv/project/.local/node"]
    )
    shown = root.covered[Path("/tmp/checkout")]
    assert (shown.source, shown.path, shown.read_only) == (Source.BIND, "/tmp/checkout", True)
    assert root.covered[Path("/tmp")].path == "/volume/tmp"
    assert root.covered[Path("/tmp/checkout/.venv")].source is Source.EMPTY
    assert root.covered[Path("/srv/project/.local/node")].source is Source.EMPTY
    assert Path("/usr") not in root.covered


def test_a_hidden_directory_that_is_not_seen_needs_nothing() -> None:
    assert Path("/tmp/state") not in compose([], hidden=["/tmp/state"]).covered


def test_an_unreadable_home_is_an_empty_one() -> None:
    machine = FakeMachine(MACHINE, unreadable=["/root"])
    root = Composed(machine, plan_root(machine, [], [], []))
    assert root.covered[Path("/root")].source is Source.EMPTY


def test_a_mount_point_in_an_unreadable_directory_is_refused() -> None:
    machine = FakeMachine(MACHINE, unreadable=["/var/lib"])
    with pytest.raises(ConfigError, match="/var/lib"):
        plan_root(machine, [volume("/var/lib/whatsam")], [], [])


@pytest.mark.parametrize(
    ("mount", "message"),
    [
        (volume("/"), "mounted at /"),
        (volume("/etc/passwd"), "is a file"),
        (volume("/etc/passwd/x"), "not a directory"),
        (volume("/usr/bin", directory=False), "is a directory"),
        (volume("/loop/x"), "symbolic links"),
    ],
)
def test_impossible_mounts_are_refused(mount: Mount, message: str) -> None:
    machine = FakeMachine({**MACHINE, "/loop": "-> loop"})
    with pytest.raises(ConfigError, match=message):
        plan_root(machine, [mount], [], [])


parts = st.sampled_from(["a", "b", "c"])
paths = st.lists(parts, min_size=1, max_size=4).map(lambda names: "/" + "/".join(names))


@st.composite
def machines(draw: st.DrawFn) -> FakeMachine:
    tree: dict[str, str] = {"/tmp": "", "/run": "", "/var/tmp": "", "/root": ""}
    for path in draw(st.lists(paths, max_size=8)):
        if not any(tree.get(str(parent), "") for parent in Path(path).parents):
            below = any(Path(path) in Path(other).parents for other in tree)
            tree[path] = "" if below else draw(st.sampled_from(["", "file"]))
    for path in draw(st.lists(paths, max_size=3)):
        below = any(Path(path) in Path(other).parents for other in tree)
        if path not in tree and not below and not any(tree.get(str(p), "") for p in Path(path).parents):
            tree[path] = "-> " + draw(paths)
    return FakeMachine(tree)


@given(machines(), st.lists(paths, max_size=4, unique=True))
def test_everything_of_the_machine_is_still_there(machine: FakeMachine, destinations: list[str]) -> None:
    """The law: every entry that no mount covers is seen as what it is, and every mount has its place."""
    try:
        plan = plan_root(machine, [volume(path) for path in destinations], [], [])
    except ConfigError:
        assume(False)
        raise
    root = Composed(machine, plan)  # asserts the order and the places of the mounts
    for path, (kind, _) in machine.tree.items():
        if not any(p in root.covered for p in (path, *path.parents)) and path.parts[1:2] not in [
            (name,) for name in SPECIAL
        ]:
            assert root.kind(path) is kind, path
    binds = [mount.path for mount in plan.mounts if mount.source is Source.BIND]
    assert sorted(binds) == sorted(f"/volume{path}" for path in destinations if binds.count(f"/volume{path}"))
    assert len(binds) == len(destinations)
