"""Entry point of an engine process: `python -m whatsam_connector.engine --socket PATH --deadline SECONDS …`.

Started by the supervisor only. The order is what makes it safe: the kernel timer is armed first, then the process binds
its life to its parent's, then it opens the socket; neonize and the databases come last.
"""

import argparse
import os
import sys

from whatsam_connector.engine.ending import end, end_with_the_first_fault
from whatsam_connector.engine.process_guard import die_with_parent
from whatsam_connector.engine.protocol import ExitCode
from whatsam_connector.fence import FenceError, KernelTimer


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]  # argparse says NoReturn; end() never returns
        print(f"engine: {message}", file=sys.stderr, flush=True)
        end(ExitCode.BAD_ARGUMENTS)


def main() -> None:
    """Fence, guard, connect, serve; never returns."""
    parser = _Parser(prog="whatsam_connector.engine")
    parser.add_argument("--socket", required=True, help="unix socket on which the supervisor listens")
    parser.add_argument("--deadline", required=True, type=float, help="hard fence, seconds of CLOCK_BOOTTIME")
    parser.add_argument("--parent", required=True, type=int, help="process id of the supervisor")
    arguments = parser.parse_args()

    try:
        timer = KernelTimer()
        timer.arm(arguments.deadline)
    except FenceError as error:
        print(f"engine: {error}", file=sys.stderr, flush=True)
        end(ExitCode.FENCE_NOT_ARMED)
    die_with_parent(arguments.parent)
    os.umask(0o077)  # keys and messages are written from here on

    # Imported here: everything above has to happen as early as can be, and needs none of it.
    from whatsam_connector.engine.host import Host
    from whatsam_connector.engine.link import Link
    from whatsam_connector.engine.neonize_adapter.engine import NeonizeEngine

    end_with_the_first_fault()
    try:
        Host(Link(arguments.socket), timer, arguments.deadline, NeonizeEngine()).serve()
    except BaseException as error:  # noqa: BLE001 - an orderly exit would wait for threads of neonize that never end
        end(ExitCode.ENGINE_FAILED, f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
