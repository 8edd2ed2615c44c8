"""A cluster comes up, is hurt, and goes without leaving anything: tried on one of the test's own, without Whatsam."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from whatsam_local import envfile
from whatsam_local.control import Control
from whatsam_local.driver.errors import DriverError
from whatsam_local.driver.eventually import eventually
from whatsam_local.driver.kubectl import Kubectl, kubectl_program
from whatsam_local.errors import ClusterNotRunningError
from whatsam_local.layout import Layout
from whatsam_local.running import Handle, ProcessRecord, read_record
from whatsam_local.status import Health

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

CHECKOUT = Path(__file__).resolve().parents[2]
PROGRAM = str(Path(kubectl_program()).with_name("whatsam-local"))
UP_WITHIN = 120.0


class Own:
    """A cluster of the test's own, below a directory with a very long name."""

    def __init__(self, root: Path) -> None:
        self.layout = Layout(CHECKOUT, root)
        self.environment = {**os.environ, "WHATSAM_LOCAL": str(root)}
        self.environment.pop("WHATSAPP", None)
        self.begun: list[subprocess.Popen[bytes]] = []

    def call(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        environment = self.environment | more
        return subprocess.run(
            [PROGRAM, *arguments], env=environment, capture_output=True, text=True, timeout=UP_WITHIN, check=False
        )

    def run(self, *arguments: str, **more: str) -> str:
        done = self.call(*arguments, **more)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def begin(self) -> subprocess.Popen[bytes]:
        """An `up` that goes on while the test does other things."""
        up = subprocess.Popen([PROGRAM, "up", "--bare"], env=self.environment, stdout=subprocess.DEVNULL)
        self.begun.append(up)
        return up

    def begin_and_answer(self) -> Handle:
        """The supervisor of an `up` that goes on."""
        self.begin()
        eventually(self.answers, 60, "the supervisor answers")
        record = read_record(self.layout.supervisor_record)
        handle = record.open() if record is not None else None
        assert handle is not None
        return handle

    def part(self, name: str) -> dict[str, object]:
        return next(part for part in Control(self.layout).status()["parts"] if part["name"] == name)

    def answers(self) -> bool:
        try:
            return bool(Control(self.layout).status()["parts"])
        except ClusterNotRunningError:
            return False

    def remains(self) -> list[str]:
        """Whatever on this machine has to do with this cluster, but its logs and its ports."""
        own, found = str(self.layout.root), list[str]()
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                command = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
                if own.encode() in command and int(process.name) != os.getpid():
                    found.append(f"process {process.name}: {command[:200]!r}")
        for table in ("/proc/self/mountinfo", "/proc/net/unix"):
            found += [line for line in Path(table).read_text().splitlines() if own in line]
        found += [str(path) for path in Path("/sys/fs/cgroup").glob(f"**/whatsam-node/{self.layout.node_name}")]
        if self.layout.root.exists():
            left = (path.name for path in self.layout.root.iterdir())
            found += [name for name in left if not name.startswith("logs") and name != "doors.json"]
        return found


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Longer than a unix socket's path may be."""
    return tmp_path_factory.mktemp("own") / ("long" * 25) / "cluster"


@pytest.fixture
def own(directory: Path) -> Iterator[Own]:
    """Nothing runs before, and nothing is left after, whatever the test does."""
    cluster = Own(directory)
    yield cluster
    cluster.run("down")
    for up in cluster.begun:
        up.wait(10)
    assert cluster.remains() == []


@pytest.fixture(scope="module")
def lasting(directory: Path) -> Iterator[Own]:
    """One bare cluster for all tests that leave it as it was."""
    cluster = Own(directory.with_name("lasting"))
    try:
        cluster.run("up", "--bare")
        yield cluster
    finally:
        cluster.run("down")
    assert cluster.remains() == []


def test_a_second_up_says_that_it_runs(cluster: object):
    done = subprocess.run([PROGRAM, "up"], capture_output=True, text=True, timeout=UP_WITHIN, check=False)
    assert done.returncode == 0, done.stdout
    assert "runs already" in done.stdout
    assert "apiserver 127.0.0.1:" in done.stdout


def test_every_door_leads_somewhere(lasting: Own):
    variables = envfile.read(lasting.layout.env_file.read_text())
    script = (
        "import os, asyncio, asyncpg, redis, httpx, io; from minio import Minio; e = os.environ\n"
        "async def sql():\n"
        "    c = await asyncpg.connect(e['WHATSAM_DATABASE_URL']); print(await c.fetchval('select current_user'))\n"
        "asyncio.run(sql())\n"
        "print(redis.Redis.from_url(e['WHATSAM_REDIS_URL']).ping())\n"
        "print(httpx.get(e['WHATSAM_SIMULATOR_URL'] + '/health').json()['status'])\n"
        "m = Minio(e['WHATSAM_S3_URL'][7:], e['WHATSAM_S3_ACCESS_KEY'], e['WHATSAM_S3_SECRET_KEY'], secure=False)\n"
        "print(m.bucket_exists(e['WHATSAM_S3_BUCKET']))\n"
    )
    python = str(Path(PROGRAM).with_name("python"))
    done = subprocess.run(
        [python, "-c", script], env={**os.environ, **variables}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.split() == ["whatsam", "True", "ok", "True"], done.stderr
    assert Kubectl(Path(variables["KUBECONFIG"])).run("get", "nodes", "-o", "name").split() == [
        f"node/{lasting.layout.node_name}"
    ]


def test_commands_run_inside_the_cluster(lasting: Own):
    assert "10.88.0.1" in lasting.run("exec", "--", "ip", "-brief", "address")
    assert "ok" in lasting.run("exec", "--", "kubectl", "get", "--raw", "/livez")
    assert lasting.call("exec", "--", "sh", "-c", "exit 7").returncode == 7


def test_names_of_services_resolve_inside(lasting: Own):
    name = "kubernetes.default.svc.cluster.local"
    eventually(
        lambda: "10.96.0.1" in lasting.call("exec", "--", "getent", "hosts", name).stdout,
        20,
        "the Service's name resolves",
    )


@pytest.mark.parametrize("part", ["etcd", "postgres", "seaweedfs", "valkey", "apiserver", "relay"])
def test_a_killed_part_is_named_with_its_log_and_starts_again(lasting: Own, part: str):
    lasting.run("part", "kill", part)
    status = lasting.call("status")
    assert status.returncode == Health.SOME_DEAD
    assert f"{part} is dead (signal 9 (SIGKILL))" in status.stdout
    assert str(lasting.layout.logs / f"{part}.log") in status.stdout
    assert f"{part}: ready" in lasting.run("part", "start", part)
    assert lasting.part(part)["starts"] == 2


def test_a_killed_controller_is_not_restarted_behind_our_back(lasting: Own):
    lasting.run("part", "kill", "scheduler")
    # Long enough that somebody who restarts would have done so: another part dies and comes back.
    lasting.run("part", "kill", "valkey")
    lasting.run("part", "start", "valkey")
    assert lasting.part("scheduler")["state"] == "ended"
    lasting.run("part", "start", "scheduler")


def test_a_frozen_database_answers_again_when_it_is_thawed(lasting: Own):
    ready = [
        "exec",
        "--",
        "timeout",
        "2",
        "bash",
        "-c",
        "exec 3<>/dev/tcp/10.88.0.1/5432 && printf '\\0\\0\\0\\10\\4\\322\\26\\57' >&3 && head -c1 <&3",
    ]
    assert lasting.call(*ready).stdout in ("N", "S")
    assert "frozen" in lasting.run("part", "freeze", "postgres")
    assert lasting.call(*ready).returncode != 0
    lasting.run("part", "thaw", "postgres")
    eventually(lambda: lasting.call(*ready).stdout in ("N", "S"), 10, "PostgreSQL answers")


def test_the_api_server_survives_without_its_doors(lasting: Own):
    kubectl = Kubectl(lasting.layout.kubeconfig)
    lasting.run("part", "stop", "relay")
    with pytest.raises(DriverError):
        kubectl.run("get", "nodes", "--request-timeout=3s")
    lasting.run("part", "start", "relay")
    assert kubectl.run("get", "nodes", "-o", "name")


@pytest.mark.parametrize("when", ["noted", "launched", "answering"])
def test_a_kill_of_up_in_the_middle_leaves_nothing(own: Own, when: str):
    reached = {
        "noted": lambda: any(own.layout.run.glob("up-*.json")),
        "launched": own.layout.supervisor_record.exists,
        "answering": own.answers,
    }
    up = own.begin()
    eventually(reached[when], 60, f"up is {when}")
    up.kill()
    up.wait()
    own.run("down")
    assert own.remains() == []


def test_down_ends_an_up_that_is_under_way(own: Own):
    own.begin_and_answer().close()
    assert "under way has been ended" in own.run("down")
    assert own.begun[0].wait(10) == -signal.SIGKILL
    assert own.remains() == []


def test_the_supervisors_death_is_the_clusters_death(own: Own):
    supervisor = own.begin_and_answer()
    supervisor.signal(signal.SIGKILL)
    assert supervisor.ended(30)
    supervisor.close()
    own.begun[0].wait(60)
    # Files are left for `down`; but no process, no mount, and no socket that anybody listens on.
    assert not [each for each in own.remains() if each.startswith("process") or "/" in each]
    assert own.call("status").returncode == Health.NOT_RUNNING


def test_a_borrowers_death_is_the_clusters_death(own: Own):
    own.run("up", "--bare")
    script = (
        "import signal; from whatsam_local.layout import Layout; from whatsam_local.warden import ending_with_us\n"
        "with ending_with_us(Layout.find()): print('borrowed', flush=True); signal.pause()\n"
    )
    python = str(Path(PROGRAM).with_name("python"))
    borrower = subprocess.Popen([python, "-c", script], env=own.environment, stdout=subprocess.PIPE)
    assert borrower.stdout is not None
    assert borrower.stdout.readline() == b"borrowed\n"
    borrower.kill()
    borrower.wait(10)
    eventually(lambda: own.remains() == [], 60, "nothing is left")


def test_a_frozen_supervisor_can_be_ended(own: Own):
    supervisor = own.begin_and_answer()
    supervisor.signal(signal.SIGSTOP)
    assert "is down" in own.run("down")
    assert supervisor.ended(0)
    supervisor.close()


def test_data_can_be_kept(own: Own):
    own.run("up", "--bare")
    kubectl = Kubectl(own.layout.kubeconfig)
    kubectl.run("create", "configmap", "kept", "--from-literal=a=b")
    password = envfile.read(own.layout.env_file.read_text())["WHATSAM_DATABASE_URL"]
    own.run("down", KEEP="1")
    own.run("up", "--bare")
    assert kubectl.json("get", "configmap", "kept")["data"] == {"a": "b"}
    assert envfile.read(own.layout.env_file.read_text())["WHATSAM_DATABASE_URL"].split("@")[0] == password.split("@")[0]


def test_a_cluster_whose_record_is_gone_ends_by_itself(own: Own):
    supervisor = own.begin_and_answer()
    own.layout.supervisor_record.unlink()
    assert supervisor.ended(30)
    supervisor.close()


def test_a_stale_record_does_no_harm(own: Own):
    own.layout.run.mkdir(parents=True)
    innocent = subprocess.Popen(["sleep", "1000"])
    try:
        true = ProcessRecord.of(innocent.pid)
        for name in ("supervisor.json", "up-1.json"):
            ProcessRecord(true.pid, true.start_ticks - 1, true.boot_id).write(own.layout.run / name)
        assert "No cluster" in own.run("down")
        assert innocent.poll() is None
    finally:
        innocent.kill()
        innocent.wait()
