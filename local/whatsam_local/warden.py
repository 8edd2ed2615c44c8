"""Ends a cluster whose user was killed. Started beside whoever borrows a cluster: tests, benchmarks.

A user that ends in order says so through the pipe; the pipe of one that was killed closes without a word.
"""

import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from whatsam_local import down
from whatsam_local.layout import Layout

_IN_ORDER: Final = b"in order"


@contextmanager
def ending_with_us(layout: Layout) -> Generator[None]:
    """While this is open, the cluster of `layout` ends when this process is killed, by whatever signal."""
    warden = subprocess.Popen(
        [sys.executable, "-m", "whatsam_local.warden"],
        env=os.environ | {"WHATSAM_LOCAL": str(layout.root)},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        warden.communicate(_IN_ORDER)


def main() -> None:
    """Wait for the user's word, or for his end."""
    if sys.stdin.buffer.read() != _IN_ORDER:
        down.down(Layout.find(), keep=False)


if __name__ == "__main__":
    main()
