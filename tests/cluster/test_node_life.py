"""Pods on the process node live and die as on a real node, and their status says so truthfully."""

import json
from collections.abc import Iterator

import pytest
from node_kit import Room

from whatsam_local.driver.cluster import RunningCluster

pytestmark = pytest.mark.cluster

OBEDIENT = "trap 'exit 7' TERM; echo ready; while true; do sleep 0.1; done"
DEAF = "trap '' TERM; echo ready; while true; do sleep 0.1; done"


@pytest.fixture
def room(cluster: RunningCluster) -> Iterator[Room]:
    """A namespace of its own."""
    made = Room(cluster.kubectl, cluster.layout.state / "node")
    made.open()
    yield made
    made.close()


def test_a_crash_is_told_restarted_at_once_and_then_backed_off(room: Room) -> None:
    room.pod("crash", "echo attempt; exit 3")
    room.until(lambda: "CrashLoopBackOff" in str(room.container("crash")), "back-off")
    status = room.container("crash")
    assert status["restartCount"] == 1
    assert status["lastState"]["terminated"]["exitCode"] == 3
    assert status["lastState"]["terminated"]["reason"] == "Error"
    assert room.get("pod", "crash")["status"]["phase"] == "Running"
    assert room.run("logs", "crash", "--previous") == "attempt\n"


def test_a_wrong_command_takes_part_in_the_back_off(room: Room) -> None:
    """Trap 13: it was tried 1,400 times in a minute."""
    room.pod("wrong", ["/no/such/command"])
    room.until(lambda: "CrashLoopBackOff" in str(room.container("wrong")), "back-off")
    status = room.container("wrong")
    assert status["restartCount"] == 1
    assert status["lastState"]["terminated"]["reason"] == "StartError"
    assert "/no/such/command" in status["lastState"]["terminated"]["message"]


def test_a_kill_is_told_with_its_signal_and_the_volume_survives(room: Room) -> None:
    volumes = [{"name": "disk", "emptyDir": {}}, {"name": "memory", "emptyDir": {"medium": "Memory"}}]
    mounts = [{"name": "disk", "mountPath": "/var/lib/whatsam"}, {"name": "memory", "mountPath": "/memory"}]
    files = "/var/lib/whatsam/f /memory/f"
    script = f"cat {files}; echo kept | tee {files} > /dev/null; echo up; exec sleep 1000"
    room.pod("killed", script, container={"volumeMounts": mounts}, volumes=volumes)
    room.until_log("killed", "up")
    before = room.container("killed")
    room.signal("killed", "KILL")
    room.until(lambda: room.container("killed").get("restartCount") == 1, "restarted")
    room.until_log("killed", "kept\nkept\nup")
    end = room.container("killed")["lastState"]["terminated"]
    assert (end["exitCode"], end["signal"], end["containerID"]) == (137, 9, before["containerID"])
    directory = room.node_state / "pods" / room.get("pod", "killed")["metadata"]["uid"]
    assert (directory / "volumes" / "disk" / "f").exists()
    room.run("delete", "pod", "killed")
    room.until(lambda: not directory.exists(), "the volume went with the pod")


@pytest.mark.parametrize(("script", "code", "number"), [(OBEDIENT, 7, None), (DEAF, 137, 9)])
def test_a_deletion_ends_in_a_truthful_status(room: Room, script: str, code: int, number: int | None) -> None:
    """TERM, the grace, KILL. A finalizer keeps the object, so that its last status can be read."""
    room.pod("ending", script, metadata={"finalizers": ["whatsam.io/test"]})
    room.until_log("ending", "ready")
    room.run("delete", "pod", "ending", "--wait=false")
    room.until(lambda: "terminated" in room.container("ending").get("state", {}), "the end is told")
    end = room.container("ending")["state"]["terminated"]
    assert (end["exitCode"], end.get("signal")) == (code, number)
    assert end["finishedAt"] >= end["startedAt"]
    assert room.get("pod", "ending")["status"]["phase"] == "Failed"
    room.unfinalize("ending")
    room.until_gone("ending")


def test_a_finished_pod_keeps_its_log_until_it_is_deleted(room: Room) -> None:
    room.pod("done", "echo first; echo second", restartPolicy="Never")
    room.until_phase("done", "Succeeded")
    assert room.container("done")["state"]["terminated"]["reason"] == "Completed"
    assert room.run("logs", "done", "--tail=1") == "second\n"
    room.run("delete", "pod", "done")
    room.until_gone("done")


def test_init_containers_run_first_and_in_order(room: Room) -> None:
    mounts = [{"name": "v", "mountPath": "/v"}]
    inits = [
        {"name": name, "image": "none", "command": ["sh", "-c", f"echo {name} >> /v/f"], "volumeMounts": mounts}
        for name in ("one", "two")
    ]
    volumes = [{"name": "v", "emptyDir": {}}]
    room.pod(
        "inits",
        "cat /v/f",
        container={"volumeMounts": mounts},
        initContainers=inits,
        volumes=volumes,
        restartPolicy="Never",
    )
    room.until_phase("inits", "Succeeded")
    assert room.run("logs", "inits", "-c", "c") == "one\ntwo\n"


def test_a_successor_of_the_same_name_is_left_alone(room: Room) -> None:
    """Traps 3 and 14: the worker of a pod that was deleted by force still lives for a second."""
    room.pod("twin", DEAF)
    room.until_log("twin", "ready")
    old = room.get("pod", "twin")
    room.run("delete", "pod", "twin", "--force", "--grace-period=0")
    room.pod("twin", OBEDIENT)
    room.until_running("twin")
    new = room.get("pod", "twin")
    assert new["metadata"]["uid"] != old["metadata"]["uid"]
    assert new["status"]["podIP"] != old["status"]["podIP"]
    room.until(lambda: not (room.node_state / "pods" / old["metadata"]["uid"]).exists(), "the old one is gone")
    assert "running" in room.container("twin")["state"]
    assert room.container("twin")["restartCount"] == 0


def test_conditions_of_others_are_kept_and_ours_are_put_right(room: Room) -> None:
    """Traps 1 and 2: the node lifecycle controller writes Ready=False into pods of a node it misses."""
    room.pod("watched", OBEDIENT)
    room.until(lambda: room.condition("watched", "Ready") == "True", "ready")
    conditions = [{"type": "example.com/foreign", "status": "True"}, {"type": "Ready", "status": "False"}]
    patch = json.dumps({"status": {"conditions": conditions}})
    room.run("patch", "pod", "watched", "--subresource=status", "--type=strategic", "-p", patch)
    room.until(lambda: room.condition("watched", "Ready") == "True", "ready again")
    assert room.condition("watched", "example.com/foreign") == "True"
    assert room.condition("watched", "PodScheduled") == "True"


def test_a_killed_agent_finds_its_containers_again(room: Room, cluster: RunningCluster) -> None:
    probe = {"exec": {"command": ["true"]}, "periodSeconds": 1}
    room.pod("kept", OBEDIENT, container={"readinessProbe": probe})
    room.until(lambda: room.condition("kept", "Ready") == "True", "ready")
    before = room.container("kept")
    cluster.part("kill", "node")
    assert cluster.part("start", "node")["state"] == "ready"
    room.pod("proof", "true", restartPolicy="Never")
    room.until_phase("proof", "Succeeded")
    after = room.container("kept")
    assert (after["containerID"], after["restartCount"]) == (before["containerID"], 0)
    assert room.condition("kept", "Ready") == "True"
    assert room.run("exec", "kept", "--", "cat", "/proc/1/comm").strip() == "sh"


def test_a_frozen_container_is_restarted_by_its_liveness_probe(room: Room) -> None:
    server = "python3 -m http.server 8080"
    probe = {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1, "failureThreshold": 2}
    room.pod("frozen", f"cd /proc/1 && exec {server}", container={"livenessProbe": probe, "startupProbe": probe})
    room.until(lambda: room.condition("frozen", "Ready") == "True", "ready")
    room.signal("frozen", "STOP", everything=True)
    room.until(lambda: room.container("frozen").get("restartCount", 0) >= 1, "restarted")
    assert room.container("frozen")["lastState"]["terminated"]["signal"] == 9


def test_a_cut_pod_is_unready_until_its_link_is_back(room: Room) -> None:
    probe = {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1, "failureThreshold": 1}
    room.pod("cut", "cd /proc/1 && exec python3 -m http.server 8080", container={"readinessProbe": probe})
    room.until(lambda: room.condition("cut", "Ready") == "True", "ready")
    room.link("cut", up=False)
    room.until(lambda: room.condition("cut", "Ready") == "False", "unready")
    room.link("cut", up=True)
    room.until(lambda: room.condition("cut", "Ready") == "True", "ready again")
    assert room.container("cut")["restartCount"] == 0


def test_what_is_missing_is_waited_for(room: Room) -> None:
    room.pod(
        "waiting", "echo $LEVEL", container={"envFrom": [{"configMapRef": {"name": "late"}}]}, restartPolicy="Never"
    )
    room.until(lambda: "CreateContainerConfigError" in str(room.container("waiting")), "told")
    assert 'configmap "late" not found' in room.container("waiting")["state"]["waiting"]["message"]
    room.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "late"}, "data": {"LEVEL": "debug"}})
    room.until_phase("waiting", "Succeeded")
    assert room.run("logs", "waiting") == "debug\n"


def test_an_image_that_is_not_in_the_table_is_told(room: Room) -> None:
    pod = {"containers": [{"name": "c", "image": "no/such:image"}]}
    room.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "unknown"}, "spec": pod})
    room.until(lambda: "ImagePullBackOff" in str(room.container("unknown")), "told")
    assert "no/such:image" in room.container("unknown")["state"]["waiting"]["message"]
