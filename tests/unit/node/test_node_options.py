"""The node's command line."""

import sys
from pathlib import Path

import pytest

from whatsam_local.node.options import interpreter_directories, parse
from whatsam_local.node.restarts import BackoffLimits

NEEDED = ["--kubeconfig", "k", "--state", "s", "--client-ca", "c"]


def test_defaults() -> None:
    options = parse(NEEDED)
    assert options.state == Path("s").resolve()
    assert options.backoff == BackoffLimits(10, 300)
    assert (options.ip, options.dns_ip, options.pod_net) == ("10.88.0.1", "10.88.0.1", "10.88")


def test_everything_can_be_said() -> None:
    words = "--label a=b --label c=d=e --restart-backoff 0.5,2 --pod-net 10.88.200 --exit-delay 1 --ip 10.88.0.2"
    options = parse([*NEEDED, *words.split(), "--dns-ip", "10.88.0.1", "--memory", "2Gi"])
    assert options.labels == {"a": "b", "c": "d=e"}
    assert options.backoff == BackoffLimits(0.5, 2)
    assert (options.pod_net, options.exit_delay, options.dns_ip) == ("10.88.200", 1.0, "10.88.0.1")
    assert options.allocatable["memory"] == "2Gi"


@pytest.mark.parametrize(
    "wrong",
    [
        "--label x",
        "--restart-backoff 5",
        "--restart-backoff 5,1",
        "--restart-backoff a,b",
        "--pod-net 10",
        "--pod-net 10.999",
        "--cpu lots",
    ],
)
def test_wrong_values_are_refused(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse([*NEEDED, *wrong.split()])
    assert wrong.split(maxsplit=1)[0] in capsys.readouterr().err


def test_pods_see_the_interpreter_wherever_it_is() -> None:
    directories = interpreter_directories()
    assert str(Path(sys.prefix).resolve()) in directories
    assert str(Path(sys.base_prefix).resolve()) in directories
    assert str(Path(parse.__code__.co_filename).parents[2]) in directories
    assert len(set(directories)) == len(directories)
