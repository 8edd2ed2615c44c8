"""What the runtime is asked to start."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from whatsam_local.node.container_spec import build_spec, limits_of
from whatsam_local.node.environment import Image
from whatsam_local.node.errors import ConfigError, ImageError
from whatsam_local.node.volumes import Volumes

CONTAINER: dict[str, Any] = {"name": "c", "image": "known"}


def context(tmp_path: Path, **spec: Any) -> Any:
    """A pod's context as far as a spec needs it."""
    obj = {"metadata": {"name": "p", "namespace": "ns", "uid": "u"}, "spec": {"containers": [CONTAINER], **spec}}
    options = SimpleNamespace(api_host="10.96.0.1", api_port="443", allocatable={})
    images = {"known": Image(["entry"], ["arg"], {"FROM_IMAGE": "1", "HOME": "/else"}, "/work")}
    return SimpleNamespace(
        obj=obj,
        uid="u",
        hostname="p",
        directory=tmp_path,
        node=SimpleNamespace(options=options, images=SimpleNamespace(find=images.get)),
        volumes=Volumes(cast(Any, None), obj, tmp_path / "volumes", {}),
        logs=lambda name: tmp_path / "logs" / name,
    )


def test_limits_in_the_runtimes_units() -> None:
    assert limits_of({"resources": {"limits": {"memory": "200Mi", "cpu": "1500m"}}}) == {
        "memory": 200 << 20,
        "cpu": 1500,
    }
    assert limits_of({"resources": {"requests": {"memory": "1Mi"}}}) == {}
    assert limits_of({}) == {}


def test_the_image_gives_what_the_container_does_not_say(tmp_path: Path) -> None:
    spec = build_spec(context(tmp_path), CONTAINER, 3, init=False)
    assert (spec["argv"], spec["cwd"]) == (["entry", "arg"], "/work")
    assert (spec["env"]["FROM_IMAGE"], spec["env"]["HOME"]) == ("1", "/else")
    assert spec["env"]["KUBERNETES_SERVICE_HOST"] == "10.96.0.1"
    assert spec["log"] == str(tmp_path / "logs/c/3.log")
    assert (tmp_path / "logs/c").is_dir()
    assert [mount["destination"] for mount in spec["mounts"]] == ["/etc/hosts", "/etc/resolv.conf"]


def test_a_security_context_is_accepted(tmp_path: Path) -> None:
    security = {"runAsUser": 1000, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    spec = build_spec(context(tmp_path), {**CONTAINER, "securityContext": security}, 0, init=False)
    assert spec["read_only_root"] is True


def test_own_files_give_way_to_what_the_container_mounts(tmp_path: Path) -> None:
    pod = context(tmp_path, volumes=[{"name": "v", "emptyDir": {}}, {"name": "m", "configMap": {"name": "m"}}])
    mounts = [
        {"name": "v", "mountPath": "/etc/hosts/"},
        {"name": "m", "mountPath": "/m", "subPath": "key", "readOnly": False},
    ]
    spec = build_spec(pod, {**CONTAINER, "volumeMounts": mounts}, 0, init=False)
    assert [mount["destination"] for mount in spec["mounts"]] == ["/etc/hosts/", "/m", "/etc/resolv.conf"]
    assert [mount["read_only"] for mount in spec["mounts"][:2]] == [False, True]


def test_what_is_not_supported_is_told(tmp_path: Path) -> None:
    pod = context(tmp_path)
    with pytest.raises(ConfigError, match="sidecars"):
        build_spec(pod, {**CONTAINER, "restartPolicy": "Always"}, 0, init=True)
    with pytest.raises(ImageError, match="unknown"):
        build_spec(pod, {"name": "c", "image": "unknown"}, 0, init=False)
    spec = build_spec(pod, {"name": "c", "image": "unknown", "command": ["own"]}, 0, init=False)
    assert spec["argv"] == ["own"]
