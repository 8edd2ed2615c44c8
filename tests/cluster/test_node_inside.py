"""What a pod on the process node sees, and what kubectl can do with it."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from node_kit import Room

from whatsam_local.driver.cluster import RunningCluster
from whatsam_local.driver.errors import KubectlError

pytestmark = pytest.mark.cluster

ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


@pytest.fixture
def room(cluster: RunningCluster) -> Iterator[Room]:
    """A namespace of its own."""
    made = Room(cluster.kubectl, cluster.layout.state / "node")
    made.open()
    yield made
    made.close()


def claims(token: str) -> dict[str, Any]:
    """What a token says."""
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def field(name: str, path: str) -> dict[str, Any]:
    """An environment variable from the downward API."""
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def test_environment_and_volumes_of_every_kind(room: Room) -> None:
    room.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "map"},
            "data": {"LEVEL": "debug", "a.txt": "A"},
        },
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": {"password": "p"}},
    )
    token = {"path": "token", "audience": "whatsam-connector", "expirationSeconds": 600}
    label = {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}
    projected = [
        {"serviceAccountToken": token},
        {"configMap": {"name": "map", "items": [{"key": "a.txt", "path": "deep/a"}]}},
        {"downwardAPI": {"items": [label]}},
        {"secret": {"name": "absent", "optional": True}},
    ]
    container = {
        "envFrom": [
            {"configMapRef": {"name": "map"}, "prefix": "M_"},
            {"secretRef": {"name": "keys"}},
            {"secretRef": {"name": "absent", "optional": True}},
        ],
        "env": [
            field("NAME", "metadata.name"),
            field("UID_", "metadata.uid"),
            field("IP", "status.podIP"),
            field("NODE", "spec.nodeName"),
            field("ACCOUNT", "spec.serviceAccountName"),
            {"name": "URL", "value": "http://$(IP)/$$(X)"},
            {"name": "MEMORY", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}},
        ],
        "resources": {"limits": {"memory": "200Mi"}},
        "volumeMounts": [
            {"name": "all", "mountPath": "/etc/whatsam/all"},
            {"name": "one", "mountPath": "/etc/one", "subPath": "LEVEL"},
            {"name": "none", "mountPath": "/none"},
        ],
    }
    volumes = [
        {"name": "all", "projected": {"sources": projected}},
        {"name": "one", "configMap": {"name": "map", "defaultMode": 0o755}},
        {"name": "none", "secret": {"secretName": "absent", "optional": True}},
    ]
    script = (
        "import json, os, pathlib as p\n"
        "files = {f: p.Path(f).read_text() for f in ('/etc/whatsam/all/token', '/etc/whatsam/all/deep/a', "
        f"'/etc/whatsam/all/labels', '/etc/one', '{ACCOUNT}/namespace', '{ACCOUNT}/ca.crt')}}\n"
        "none = [n for n in os.listdir('/none') if not n.startswith('..')]\n"
        "mode = os.stat('/etc/one').st_mode & 0o777\n"
        "print(json.dumps({'env': dict(os.environ), 'files': files, 'none': none, 'mode': mode}))"
    )
    room.pod(
        "all", ["python3", "-c", script], container=container, volumes=volumes, restartPolicy="Never",
        metadata={"labels": {"tier": "one"}},
    )  # fmt: skip
    room.until_phase("all", "Succeeded")
    said = json.loads(room.run("logs", "all"))
    env, files, pod = said["env"], said["files"], room.get("pod", "all")
    assert (env["M_LEVEL"], env["password"], env["MEMORY"]) == ("debug", "p", "200")
    assert (env["NAME"], env["UID_"]) == ("all", pod["metadata"]["uid"])
    assert (env["IP"], env["NODE"]) == (pod["status"]["podIP"], pod["spec"]["nodeName"])
    assert (env["ACCOUNT"], env["URL"]) == ("default", f"http://{env['IP']}/$(X)")
    assert files["/etc/whatsam/all/deep/a"] == "A"
    assert files["/etc/whatsam/all/labels"] == 'tier="one"'
    assert (files["/etc/one"], said["mode"], said["none"]) == ("debug", 0o755, [])
    assert files[f"{ACCOUNT}/namespace"] == room.namespace
    assert "BEGIN CERTIFICATE" in files[f"{ACCOUNT}/ca.crt"]
    token_claims = claims(files["/etc/whatsam/all/token"])
    assert token_claims["aud"] == ["whatsam-connector"]
    assert token_claims["exp"] - token_claims["iat"] == 600
    assert token_claims["kubernetes.io"]["pod"]["uid"] == pod["metadata"]["uid"]


def test_in_cluster_configuration_reaches_the_api_server_with_the_pods_rights(room: Room) -> None:
    script = (
        "import os, ssl, urllib.error, urllib.request as u\n"
        f"base = '{ACCOUNT}'; tls = ssl.create_default_context(cafile=base + '/ca.crt')\n"
        "host = os.environ['KUBERNETES_SERVICE_HOST'] + ':' + os.environ['KUBERNETES_SERVICE_PORT']\n"
        "def code(path):\n"
        "    head = {'Authorization': 'Bearer ' + open(base + '/token').read()}\n"
        "    try: return u.urlopen(u.Request(f'https://{host}{path}', headers=head), context=tls).status\n"
        "    except urllib.error.HTTPError as e: return e.code\n"
        "print(code('/version'), code('/api/v1/secrets'))"
    )
    room.pod("client", ["python3", "-c", script], restartPolicy="Never")
    room.until_phase("client", "Succeeded")
    assert room.run("logs", "client").split() == ["200", "403"]


def test_services_and_their_names(room: Room) -> None:
    labels = {"metadata": {"labels": {"app": "web"}}}
    probe = {"tcpSocket": {"port": 8080}, "periodSeconds": 1}
    web = {"ports": [{"name": "http", "containerPort": 8080}], "readinessProbe": probe}
    room.pod(
        "web",
        "cd /proc/1 && exec python3 -m http.server 8080",
        container=web,
        hostname="first",
        subdomain="all",
        **labels,
    )
    for name, kind in (("web", {}), ("all", {"clusterIP": "None"})):
        port = {"port": 80 if name == "web" else 8080, "targetPort": "http"}
        spec = {"selector": {"app": "web"}, "ports": [port], **kind}
        room.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec})
    script = (
        "import socket, time, urllib.request as u\n"
        f"urls = ['http://web/', 'http://web.{room.namespace}.svc.cluster.local/', 'http://all:8080/', 'http://first.all:8080/']\n"
        "def ok(url):\n"
        "    try: return u.urlopen(url, timeout=3).status == 200\n"
        "    except OSError: return False\n"
        "while not all(ok(url) for url in urls): time.sleep(0.2)\n"
        "try: socket.gethostbyname('example.com')\n"
        "except socket.gaierror as e: print('all answered', e.errno == socket.EAI_NONAME)\n"
    )
    room.pod("client", ["python3", "-c", script], restartPolicy="Never")
    room.until_phase("client", "Succeeded")
    assert room.run("logs", "client") == "all answered True\n"


def test_kubectl_exec_and_logs(room: Room) -> None:
    room.pod("shell", "echo one; echo two; exec sleep 1000")
    room.until_log("shell", "two")
    assert room.run("exec", "-i", "shell", "--", "tr", "a-z", "A-Z", stdin="hello\n") == "HELLO\n"
    with pytest.raises(KubectlError, match="exit code 3"):
        room.run("exec", "shell", "--", "sh", "-c", "exit 3")
    assert room.run("exec", "shell", "--", "hostname").strip() == "shell"
    assert room.run("logs", "shell", "--tail=1") == "two\n"
    assert room.run("logs", "shell", "--limit-bytes=4") == "one\n"
    with pytest.raises(KubectlError, match="timestamps is not supported"):
        room.run("logs", "shell", "--timestamps")
    with pytest.raises(KubectlError, match="no such log"):
        room.run("logs", "shell", "--previous")


def test_following_a_log_ends_with_the_container(room: Room) -> None:
    container = {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}
    script = "echo begin; while [ ! -e /v/go ]; do sleep 0.1; done; echo end"
    volumes = [{"name": "v", "emptyDir": {}}]
    room.pod("slow", script, container=container, volumes=volumes, restartPolicy="Never")
    room.until_log("slow", "begin")
    room.run("exec", "slow", "--", "touch", "/v/go")
    assert room.run("logs", "slow", "--follow") == "begin\nend\n"


def test_the_node_tells_what_its_containers_use(room: Room) -> None:
    room.pod("busy", "exec sleep 1000")
    room.until_running("busy")
    node = room.get("pod", "busy")["spec"]["nodeName"]
    text = room.kubectl.run("get", "--raw", f"/api/v1/nodes/{node}/proxy/metrics/resource")
    labels = f'{{container="c",namespace="{room.namespace}",pod="busy"}}'
    memory = next(line for line in text.splitlines() if line.startswith(f"container_memory_working_set_bytes{labels}"))
    assert int(memory.split()[-1]) > 0
