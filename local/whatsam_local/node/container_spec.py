"""From a container of a pod to what the runtime is asked to start. Called by `container_worker.py`."""

from whatsam_local.node.context import PodContext
from whatsam_local.node.environment import DEFAULT_PATH, Image, container_argv, container_environment
from whatsam_local.node.errors import ConfigError, ImageError
from whatsam_local.node.kinds import Json
from whatsam_local.node.protocol import ContainerSpec, Limits, VolumeMount
from whatsam_local.node.quantity import parse_quantity
from whatsam_local.node.root_plan import HOME

_OWN_FILES = ("hosts", "resolv.conf")


def limits_of(container: Json) -> Limits:
    """Pure: the limits of a container's spec in the runtime's units."""
    given = container.get("resources", {}).get("limits", {})
    limits = Limits()
    if "memory" in given:
        limits["memory"] = int(parse_quantity(given["memory"]))
    if "cpu" in given:
        limits["cpu"] = int(parse_quantity(given["cpu"]) * 1000)
    return limits


def build_spec(pod: PodContext, container: Json, attempt: int, *, init: bool) -> ContainerSpec:
    """The whole spec of one attempt; makes the directory of its log.

    Raises `ConfigError` or `ImageError` when something that the container needs is not there.
    """
    options = pod.node.options
    if init and container.get("restartPolicy") == "Always":
        raise ConfigError("init containers that keep running (sidecars) are not supported by the process node")
    image = pod.node.images.find(container["image"])
    if image is None and not container.get("command"):
        raise ImageError(
            f'Back-off pulling image "{container["image"]}": it is not in the table of images, '
            "and the container names no command"
        )
    image = image or Image()
    base = {
        "PATH": DEFAULT_PATH,
        "HOME": HOME,
        "HOSTNAME": pod.hostname,
        "KUBERNETES_SERVICE_HOST": options.api_host,
        "KUBERNETES_SERVICE_PORT": options.api_port,
        "KUBERNETES_SERVICE_PORT_HTTPS": options.api_port,
        **image.env,
    }
    environment = container_environment(pod.obj, container, pod.volumes.get, base, options.allocatable)
    logs = pod.logs(container["name"])
    logs.mkdir(parents=True, exist_ok=True)
    return ContainerSpec(
        argv=container_argv(container, image, environment),
        env=environment,
        cwd=container.get("workingDir") or image.cwd,
        log=str(logs / f"{attempt}.log"),
        sandbox=pod.uid,
        hostname=pod.hostname,
        mounts=[*pod.volumes.mounts(container), *_own_files(pod, container)],
        read_only_root=container.get("securityContext", {}).get("readOnlyRootFilesystem", False),
        limits=limits_of(container),
    )


def _own_files(pod: PodContext, container: Json) -> list[VolumeMount]:
    """/etc/hosts and /etc/resolv.conf of the pod, unless the container brings its own."""
    brought = [str(mount["mountPath"]).rstrip("/") for mount in container.get("volumeMounts", [])]
    return [
        VolumeMount(
            source=str(pod.directory / name),
            sub_path="",
            destination=f"/etc/{name}",
            read_only=False,
            directory=False,
        )
        for name in _OWN_FILES
        if f"/etc/{name}" not in brought
    ]
