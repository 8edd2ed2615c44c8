"""Pure: the files every pod gets of its own."""

from whatsam_local.node.kinds import Json

_DOMAIN = "cluster.local"


def hosts_file(pod: Json, address: str) -> str:
    """/etc/hosts: the pod's own names, and what `hostAliases` adds."""
    spec, metadata = pod["spec"], pod["metadata"]
    name = spec.get("hostname") or metadata["name"]
    names = [name]
    if spec.get("subdomain"):
        names.insert(0, f"{name}.{spec['subdomain']}.{metadata['namespace']}.svc.{_DOMAIN}")
    lines = ["127.0.0.1 localhost", f"{address} {' '.join(names)}"]
    lines += [f"{alias['ip']} {' '.join(alias.get('hostnames') or [])}" for alias in spec.get("hostAliases", [])]
    return "\n".join(lines) + "\n"


def resolver_file(pod: Json, dns_address: str) -> str:
    """/etc/resolv.conf, as kubelet writes it for the policy ClusterFirst."""
    namespace = pod["metadata"]["namespace"]
    search = f"{namespace}.svc.{_DOMAIN} svc.{_DOMAIN} {_DOMAIN}"
    return f"nameserver {dns_address}\nsearch {search}\noptions ndots:5\n"
