"""Entry of the node agent: `python -m whatsam_local.node`. Started by the local cluster's supervisor."""

import asyncio
import logging
import os
import sys
import time
from contextlib import suppress

from whatsam_local.node.errors import ConfigError, NodeError
from whatsam_local.node.node import Outcome, run_node
from whatsam_local.node.options import parse
from whatsam_local.node.requirements import check_requirements, lock_state

_START_AGAIN_SECONDS = 1.0


def main() -> None:
    """Run the node; starts over by itself when the runtime is lost."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    options = parse()
    with suppress(ChildProcessError):  # the runtime of this process's earlier life
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    try:
        nsenter = check_requirements(options)
        lock_state(options.state)
        outcome = asyncio.run(run_node(options, nsenter))
    except (NodeError, ConfigError, OSError) as error:
        sys.exit(f"whatsam node: {error}")
    if outcome is Outcome.RUNTIME_LOST:
        logging.getLogger("node").warning("the runtime is gone, and with it every container: starting over")
        time.sleep(_START_AGAIN_SECONDS)
        os.execv(sys.executable, sys.orig_argv)  # noqa: S606 - the same program again, under the same process id
    os._exit(0)  # nothing is left to tidy up: what still runs belongs to the runtime


if __name__ == "__main__":
    main()
