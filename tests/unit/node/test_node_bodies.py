"""Bodies of Node, Lease, Event, and the pods' own files."""

import datetime

from whatsam_local.node.kubelet_exec import result_body
from whatsam_local.node.node_object import NodeFacts, event_body, lease_body, lease_spec, node_labels, node_status
from whatsam_local.node.pod_files import hosts_file, resolver_file

FACTS = NodeFacts("n", "10.88.0.1", 10250, {"cpu": "8"}, "amd64", "6.1", "boot")
POD = {"metadata": {"name": "p", "namespace": "ns", "uid": "u"}, "spec": {}}


def test_the_node_takes_web_sockets() -> None:
    """Trap 7: without the feature the API server would bring exec as SPDY."""
    assert node_status(FACTS, "now", "since")["declaredFeatures"] == ["ExtendWebSocketsToKubelet"]


def test_the_node_is_ready_since_it_became_so() -> None:
    ready = node_status(FACTS, "now", "since")["conditions"][0]
    assert (ready["type"], ready["status"]) == ("Ready", "True")
    assert (ready["lastHeartbeatTime"], ready["lastTransitionTime"]) == ("now", "since")


def test_labels_can_be_added_and_changed() -> None:
    labels = node_labels(FACTS, {"zone": "a", "kubernetes.io/hostname": "other"})
    assert labels["zone"] == "a"
    assert labels["kubernetes.io/hostname"] == "other"
    assert labels["kubernetes.io/arch"] == "amd64"


def test_the_lease_goes_with_its_node() -> None:
    spec = lease_spec("n", datetime.datetime(2026, 1, 2, 3, 4, 5, 6, datetime.UTC))
    assert spec["renewTime"] == "2026-01-02T03:04:05.000006Z"
    body = lease_body("n", "uid", spec)
    assert body["metadata"]["ownerReferences"][0]["uid"] == "uid"


def test_events_name_the_pod_and_are_not_too_long() -> None:
    body = event_body(POD, "n", kind="Warning", reason="R", message="x" * 5000, now="now")
    assert body["involvedObject"]["uid"] == "u"
    assert len(body["message"]) == 1000


def test_hosts_have_the_stable_name() -> None:
    spec = {"hostname": "db-0", "subdomain": "db", "hostAliases": [{"ip": "1.2.3.4", "hostnames": ["x", "y"]}]}
    text = hosts_file({**POD, "spec": spec}, "10.88.1.2")
    assert text == "127.0.0.1 localhost\n10.88.1.2 db-0.db.ns.svc.cluster.local db-0\n1.2.3.4 x y\n"
    assert hosts_file(POD, "10.88.1.2").splitlines()[1] == "10.88.1.2 p"


def test_names_are_searched_in_the_own_namespace_first() -> None:
    text = resolver_file(POD, "10.88.0.1")
    assert text.startswith("nameserver 10.88.0.1\nsearch ns.svc.cluster.local svc.cluster.local")


def test_results_of_exec() -> None:
    assert result_body(0)["status"] == "Success"
    assert result_body(3)["details"]["causes"] == [{"reason": "ExitCode", "message": "3"}]
