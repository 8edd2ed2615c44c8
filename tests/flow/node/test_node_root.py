"""The composed root, made for real: what a container sees, and that the machine is not touched."""

import os
import sys
from pathlib import Path

import pytest
from node_rig import Box, mount

from whatsam_local.node.errors import RuntimeRefused

NEW = "whatsam-test-mount-point"


def test_mount_points_appear_anywhere_and_the_machine_stays_as_it_was(box: Box) -> None:
    volume = box.volume("data")
    (volume / "file").write_text("content")
    places = [f"/{NEW}", f"/etc/{NEW}/deep", f"/var/lib/{NEW}", f"/var/run/secrets/{NEW}", f"/usr/share/{NEW}"]
    text = box.output("; ".join(f"cat {place}/file" for place in places), *(mount(volume, p) for p in places))
    assert text == "content" * len(places)
    for place in places:
        assert not os.path.lexists(place)
    assert not Path(f"/etc/{NEW}").exists()


def test_a_shadowed_directory_shows_all_that_the_machine_has(box: Box) -> None:
    volume = box.volume("data")
    listed = box.output("ls -A /etc", mount(volume, f"/etc/{NEW}")).split("\n")
    assert set(listed) - {""} == {*(entry.name for entry in Path("/etc").iterdir()), NEW}
    assert box.output("cat /etc/passwd", mount(volume, f"/etc/{NEW}")) == Path("/etc/passwd").read_text()


def test_files_of_the_machine_cannot_be_changed(box: Box) -> None:
    script = "for f in /etc/x /usr/x /var/lib/x; do touch $f && echo written $f; done; echo x >> /etc/passwd; true"
    assert "written" not in box.output(script)
    assert "written" not in box.output(script, mount(box.volume("data"), "/opt/data"))


def test_fresh_directories_are_empty_and_writable(box: Box) -> None:
    fresh = ("/tmp", "/run", "/var/tmp", "/dev/shm", "/root", "/")
    assert box.output("ls -A /run /var/tmp /dev/shm").split() == ["/dev/shm:", "/run:", "/var/tmp:"]
    box.output("touch " + " ".join(f"{path}/{NEW}" for path in fresh))
    assert not any(Path(path, NEW).exists() for path in fresh)
    assert NEW not in box.output(f"ls -A {' '.join(fresh)}")


def test_own_processes_only(box: Box) -> None:
    assert box.output("echo $$; ls -d /proc/[0-9]*").split()[0] == "1"


def test_own_host_name(box: Box) -> None:
    assert box.output("hostname", hostname="my-pod").strip() == "my-pod"


def test_hosts_and_resolver_are_the_pods_own(box: Box) -> None:
    for name in ("hosts", "resolv.conf"):
        (box.volume("own") / name).write_text(f"own {name}\n")
    own = [mount(box.volume("own") / name, f"/etc/{name}", directory=False) for name in ("hosts", "resolv.conf")]
    before = [Path(f"/etc/{name}").read_text() for name in ("hosts", "resolv.conf") if Path(f"/etc/{name}").exists()]
    assert box.output("cat /etc/hosts /etc/resolv.conf", *own) == "own hosts\nown resolv.conf\n"
    after = [Path(f"/etc/{name}").read_text() for name in ("hosts", "resolv.conf") if Path(f"/etc/{name}").exists()]
    assert before == after


def test_a_read_only_root_leaves_volumes_writable(box: Box) -> None:
    script = "for p in / /tmp /run /etc /root; do touch $p/x && echo wrote $p; done; touch /data/x && echo volumes"
    text = box.output(script, mount(box.volume("data"), "/data"), read_only_root=True)
    assert "wrote" not in text
    assert "volumes" in text
    assert (box.volume("data") / "x").exists()


def test_a_volume_over_tmp_stays_writable_under_a_read_only_root(box: Box) -> None:
    box.output("touch /tmp/x", mount(box.volume("data"), "/tmp"), read_only_root=True)
    assert (box.volume("data") / "x").exists()


def test_a_read_only_volume_is_read_only(box: Box) -> None:
    text = box.output("touch /data/x && echo wrote; true", mount(box.volume("data"), "/data", read_only=True))
    assert "wrote" not in text


def test_volumes_inside_volumes(box: Box) -> None:
    (box.volume("inner") / "i").touch()
    (box.volume("outer") / "o").touch()
    inner, outer = mount(box.volume("inner"), "/data/sub/deep"), mount(box.volume("outer"), "/data")
    assert box.output("cd /data; find . -type f | sort", inner, outer).split() == ["./o", "./sub/deep/i"]


def test_sub_paths(box: Box) -> None:
    volume = box.volume("data")
    (volume / "..data").mkdir()
    (volume / "..data" / "key").write_text("value")
    (volume / "key").symlink_to("..data/key")
    one_file = mount(volume, "/etc/one-file", sub_path="key", directory=False, read_only=True)
    new = mount(volume, "/new", sub_path="made/here")
    assert box.output("cat /etc/one-file; touch /new/x", one_file, new) == "value"
    assert (volume / "made/here/x").exists()


def test_a_sub_path_cannot_leave_its_volume(box: Box) -> None:
    volume = box.volume("data")
    (volume / "escape").symlink_to("/etc")
    for path in ("escape", "../..", "escape/../.."):
        with pytest.raises(RuntimeRefused, match="leaves its volume"):
            box.start("true", mount(volume, "/data", sub_path=path))


def test_other_pods_volumes_are_hidden(box: Box) -> None:
    (box.volume("secret") / "token").write_text("t")
    assert box.output(f"ls -A {box.state}").strip() == ""


def test_the_interpreter_is_visible_wherever_it_is(box: Box) -> None:
    assert box.output([sys.executable, "-c", "import whatsam_local.node, aiohttp; print('ok')"]).strip() == "ok"


def test_a_volume_of_the_wrong_kind_is_refused(box: Box) -> None:
    with pytest.raises(RuntimeRefused, match="/etc/passwd is a file"):
        box.start("true", mount(box.volume("data"), "/etc/passwd"))


def test_a_working_directory_that_is_missing_is_told(box: Box) -> None:
    with pytest.raises(RuntimeRefused, match="/no/such/directory"):
        box.start("true", cwd="/no/such/directory")
