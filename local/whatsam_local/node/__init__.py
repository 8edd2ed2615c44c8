"""The process node: a Kubernetes node whose pods are plain local processes.

`python -m whatsam_local.node` registers a Node and plays kubelet's role. It starts the container runtime
(`runtime_server.py`, containerd's role) as a process of its own, so that containers outlive a killed node.
`python -m whatsam_local.node.services` stands in for kube-proxy and CoreDNS; `python -m whatsam_local.node.signal`
breaks things on purpose. Everything runs inside the namespaces that the local cluster's supervisor has made.
"""
