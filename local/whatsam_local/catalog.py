"""The parts of the local cluster: what runs, with which flags, in which order. Pure; called by `up`."""

import signal
from dataclasses import dataclass
from pathlib import Path

from whatsam_local.credentials import Credentials
from whatsam_local.layout import Layout
from whatsam_local.plan import CommandProbe, HttpProbe, Part, Preparation, TalkProbe

HOST = "10.88.0.1"
"""The cluster's own address on the pods' bridge; everything listens here."""
API_SERVICE_ADDRESS = "10.96.0.1"
"""ClusterIP of the Service `kubernetes`: an address of the cluster's loopback, so it needs no proxy."""
EGRESS_PORT = 3128
SIMULATOR_PROXY_PORT = 9181

NETWORK = (
    "link set lo up",
    "link add cni0 type bridge",
    # A bridge takes the lowest address of its ports if it has none of its own, and then changes it with every pod.
    "link set cni0 address 02:00:0a:58:00:01",
    f"addr add {HOST}/16 dev cni0",
    "link set cni0 up",
    f"addr add {API_SERVICE_ADDRESS}/32 dev lo",
)


@dataclass(frozen=True)
class Programs:
    """Where the programs are."""

    controlplane: Path
    python: Path
    postgres: Path
    """Directory of PostgreSQL's programs."""
    valkey: Path
    seaweedfs: Path
    simulator: Path


@dataclass(frozen=True)
class Site:
    """Everything a plan depends on."""

    layout: Layout
    programs: Programs
    credentials: Credentials
    environment: dict[str, str]
    """Of every part: PATH, HOME, TMPDIR."""
    doors: tuple[tuple[int, str], ...]
    """(file descriptor of the listening socket, where it leads)."""
    simulator: bool
    images: Path
    node: str
    """The node's name; differs between checkouts, because cgroups are named after it and belong to the machine."""


def parts(site: Site) -> tuple[Part, ...]:
    """All parts of a cluster; none of them is started twice, and the order is only in `after`."""
    everything = [
        _etcd(site),
        _apiserver(site),
        _controller_manager(site),
        _scheduler(site),
        _node(site),
        _services(site),
        _postgres(site),
        _valkey(site),
        _seaweedfs(site),
        _simulator(site) if site.simulator else _egress(site),
        _relay(site),
    ]
    return tuple(everything)


def _etcd(site: Site) -> Part:
    return Part(
        name="etcd",
        argv=(
            str(site.programs.controlplane),
            "etcd",
            f"--data-dir={site.layout.state / 'etcd'}",
            "--listen-client-urls=http://127.0.0.1:2379",
            "--advertise-client-urls=http://127.0.0.1:2379",
            "--listen-peer-urls=http://127.0.0.1:2380",
            "--initial-advertise-peer-urls=http://127.0.0.1:2380",
            "--initial-cluster=default=http://127.0.0.1:2380",
            "--auto-compaction-retention=10m",
            # A cluster for development: what a power cut may cost is nothing against what fsync costs every write.
            "--unsafe-no-fsync",
            "--log-level=warn",
        ),
        env=site.environment,
        ready=HttpProbe(host="127.0.0.1", port=2379, path="/health"),
    )


def _apiserver(site: Site) -> Part:
    pki = site.layout.pki
    return Part(
        name="apiserver",
        argv=(
            str(site.programs.controlplane),
            "kube-apiserver",
            "--etcd-servers=http://127.0.0.1:2379",
            "--secure-port=443",
            "--bind-address=0.0.0.0",
            f"--advertise-address={HOST}",
            f"--tls-cert-file={pki / 'apiserver.crt'}",
            f"--tls-private-key-file={pki / 'apiserver.key'}",
            f"--client-ca-file={pki / 'ca.crt'}",
            f"--kubelet-client-certificate={pki / 'kubelet-client.crt'}",
            f"--kubelet-client-key={pki / 'kubelet-client.key'}",
            "--kubelet-preferred-address-types=InternalIP",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-signing-key-file={pki / 'sa.key'}",
            f"--service-account-key-file={pki / 'sa.pub'}",
            "--service-cluster-ip-range=10.96.0.0/16",
        ),
        env=site.environment,
        after=("etcd",),
        ready=HttpProbe(host=HOST, port=443, path="/readyz", tls=True),
    )


def _with_kubeconfig(site: Site) -> tuple[str, ...]:
    config = site.layout.inner_kubeconfig
    return (
        f"--kubeconfig={config}",
        f"--authentication-kubeconfig={config}",
        f"--authorization-kubeconfig={config}",
        # One of each: nobody to elect against, and an election costs seconds at every start.
        "--leader-elect=false",
    )


def _controller_manager(site: Site) -> Part:
    pki = site.layout.pki
    return Part(
        name="controller-manager",
        argv=(
            str(site.programs.controlplane),
            "kube-controller-manager",
            *_with_kubeconfig(site),
            f"--service-account-private-key-file={pki / 'sa.key'}",
            # Without it pods find an empty authority and cannot verify the API server.
            f"--root-ca-file={pki / 'ca.crt'}",
            "--use-service-account-credentials=true",
            "--allocate-node-cidrs=false",
        ),
        env=site.environment,
        after=("apiserver",),
        ready=HttpProbe(host="127.0.0.1", port=10257, path="/healthz", tls=True),
    )


def _scheduler(site: Site) -> Part:
    return Part(
        name="scheduler",
        argv=(str(site.programs.controlplane), "kube-scheduler", *_with_kubeconfig(site)),
        env=site.environment,
        after=("apiserver",),
        ready=HttpProbe(host="127.0.0.1", port=10259, path="/healthz", tls=True),
    )


def _node(site: Site) -> Part:
    state = site.layout.state
    return Part(
        name="node",
        argv=(
            str(site.programs.python),
            "-m",
            "whatsam_local.node",
            f"--kubeconfig={state / 'node.kubeconfig'}",
            f"--state={state / 'node'}",
            f"--name={site.node}",
            f"--ip={HOST}",
            "--exit-delay=1",  # a real kubelet looks at its containers once a second
            f"--images={site.images}",
            f"--client-ca={site.layout.pki / 'kubelet-client-ca.crt'}",
            f"--visible={site.layout.checkout}",
            f"--visible={site.layout.root}",
        ),
        env=site.environment,
        after=("apiserver",),
    )


def _services(site: Site) -> Part:
    return Part(
        name="services",
        argv=(
            str(site.programs.python),
            "-m",
            "whatsam_local.node.services",
            f"--kubeconfig={site.layout.state / 'services.kubeconfig'}",
            f"--dns-ip={HOST}",
        ),
        env=site.environment,
        after=("apiserver",),
    )


def _postgres(site: Site) -> Part:
    programs, data = site.programs.postgres, site.layout.state / "postgres"
    passwords = site.credentials
    setup = (
        f"ALTER ROLE postgres PASSWORD '{passwords.database_admin_password}';\n"
        f"CREATE ROLE whatsam LOGIN PASSWORD '{passwords.database_password}';\n"
        "CREATE DATABASE whatsam OWNER whatsam;\n"
    )
    return Part(
        name="postgres",
        argv=(
            str(programs / "postgres"),
            f"-D{data}",
            "-p5432",
            "-cunix_socket_directories=",
            f"-clisten_addresses={HOST}",
            f"-chba_file={site.layout.state / 'pg_hba.conf'}",
            "-cmax_connections=200",
            # As with etcd: a killed server loses nothing, only a power cut would.
            "-cfsync=off",
        ),
        env=site.environment,
        data=str(data),
        prepare=(
            Preparation(
                argv=(
                    str(programs / "initdb"),
                    f"-D{data}",
                    "--username=postgres",
                    "--auth=scram-sha-256",
                    "--pwfile=/dev/stdin",
                    "--encoding=UTF8",
                    "--locale=C.UTF-8",
                    "--no-sync",
                ),
                stdin=passwords.database_admin_password + "\n",
            ),
            # Pods and doors come from the cluster's own network; initdb lets in the machine itself alone.
            Preparation(
                argv=("/usr/bin/env", "tee", "-a", str(data / "pg_hba.conf")),
                stdin="host all all 10.88.0.0/16 scram-sha-256\n",
            ),
            Preparation(
                argv=(str(programs / "postgres"), "--single", f"-D{data}", "-cfsync=off", "postgres"), stdin=setup
            ),
        ),
        # A number in it may belong to another process by now, and PostgreSQL would refuse to start.
        stale=(str(data / "postmaster.pid"),),
        ordinary_user=True,
        # SIGTERM would let it wait for its clients to leave by themselves.
        stop_signal=signal.SIGINT,
        freeze_descendants=True,
        ready=CommandProbe(argv=(str(programs / "pg_isready"), f"--host={HOST}", "--port=5432", "--quiet")),
    )


def postgres_access() -> str:
    """Contents of `pg_hba.conf`: every pod and part, with its password."""
    return "host all all 10.88.0.0/16 scram-sha-256\n"


def _valkey(site: Site) -> Part:
    return Part(
        name="valkey",
        argv=(str(site.programs.valkey), str(site.layout.state / "valkey.conf")),
        env=site.environment,
        ready=TalkProbe(host=HOST, port=6379, say="PING\r\n", hear=("-NOAUTH", "+PONG")),
    )


def valkey_configuration(site: Site) -> str:
    """Contents of `valkey.conf`: a password on the command line could be read by everybody."""
    return (
        f"bind {HOST}\nport 6379\nrequirepass {site.credentials.redis_password}\n"
        'save ""\nappendonly no\ndaemonize no\n'
        f"dir {site.layout.state}\n"
    )


def _seaweedfs(site: Site) -> Part:
    data = site.layout.state / "seaweedfs"
    return Part(
        name="seaweedfs",
        argv=(
            str(site.programs.seaweedfs),
            "-logtostderr=true",
            "server",
            f"-dir={data}",
            f"-ip={HOST}",
            f"-ip.bind={HOST}",
            "-master.telemetry=false",
            "-master.port=9333",
            "-master.port.grpc=19333",
            "-master.electionTimeout=1s",
            "-master.raftBootstrap",
            "-master.volumeSizeLimitMB=256",
            "-volume.port=9340",
            "-volume.port.grpc=19340",
            "-volume.max=200",
            "-filer.port=9350",
            "-filer.port.grpc=19350",
            "-s3",
            "-s3.port=8333",
            "-s3.port.grpc=18333",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-s3.iam=false",
            f"-s3.config={site.layout.state / 's3.json'}",
        ),
        env=site.environment,
        private_tmp=(str(site.layout.checkout), str(site.layout.root)),
        # 403: it wants a signature, so it is there.
        ready=HttpProbe(host=HOST, port=8333, path="/", below=500),
    )


def s3_configuration(site: Site) -> dict[str, object]:
    """Contents of `s3.json`: one identity that may do everything."""
    keys = {"accessKey": site.credentials.s3_access_key, "secretKey": site.credentials.s3_secret_key}
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    return {"identities": [{"name": "whatsam", "credentials": [keys], "actions": actions}]}


def _simulator(site: Site) -> Part:
    return Part(
        name="simulator",
        argv=(
            str(site.programs.simulator),
            "serve",
            f"--host={HOST}",
            "--tls-port=9182",
            f"--proxy-port={SIMULATOR_PROXY_PORT}",
            "--control-port=9180",
            f"--state={site.layout.state / 'simulator'}",
        ),
        env=site.environment,
        ready=TalkProbe(host=HOST, port=9180),
    )


def _egress(site: Site) -> Part:
    return Part(
        name="egress",
        argv=(str(site.programs.python), "-m", "whatsam_local.egress", "{listener}", "443"),
        env=site.environment,
        outside=True,
        inner_listener=(HOST, EGRESS_PORT),
    )


def _relay(site: Site) -> Part:
    return Part(
        name="relay",
        argv=(
            str(site.programs.python),
            "-m",
            "whatsam_local.relay",
            *(f"{descriptor}={target}" for descriptor, target in site.doors),
        ),
        env=site.environment,
        descriptors=tuple(descriptor for descriptor, _ in site.doors),
    )
