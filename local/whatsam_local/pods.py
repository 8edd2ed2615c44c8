"""Breaks running pods on purpose, through the process node's runtime. Called by the CLI and by tests."""

import subprocess
import sys
from collections.abc import Sequence

from whatsam_local.layout import Layout


def signal(layout: Layout, namespace: str, pod: str, name: str, options: Sequence[str] = ()) -> int:
    """Send the signal (like KILL) to a pod's container; exit code 0 only when that has been done."""
    return _node_command(layout, "", namespace, pod, [f"--signal={name}", *options])


def link(layout: Layout, namespace: str, pod: str, way: str) -> int:
    """Take a pod's network link `down`, or `up` again."""
    return _node_command(layout, "link", namespace, pod, [way])


def _node_command(layout: Layout, verb: str, namespace: str, pod: str, options: Sequence[str]) -> int:
    argv = [sys.executable, "-m", "whatsam_local.node.signal", *([verb] if verb else [])]
    argv += [f"--state={layout.state / 'node'}", f"--namespace={namespace}", f"--pod={pod}", *options]
    return subprocess.run(argv, check=False).returncode
