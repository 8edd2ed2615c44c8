"""The running cluster, or one that is started for the caller and ended after him. For tests and benchmarks."""

from collections.abc import Generator
from contextlib import contextmanager

from rich.console import Console

from whatsam_local import down
from whatsam_local.driver.cluster import RunningCluster
from whatsam_local.layout import Layout
from whatsam_local.progress import Reporter
from whatsam_local.running import read_record
from whatsam_local.settings import LocalSettings
from whatsam_local.up import Up
from whatsam_local.warden import ending_with_us


@contextmanager
def borrowed_cluster(console: Console) -> Generator[RunningCluster]:
    """Leave things as they were found: a cluster that ran goes on running, one that was started here is ended.

    That holds for a caller that is killed, too.
    """
    layout = Layout.find()
    record = read_record(layout.supervisor_record)
    if record is not None and record.runs():
        yield _running(layout, console)
        return
    with ending_with_us(layout):
        try:
            yield _running(layout, console)
        finally:
            down.down(layout, keep=False)


def _running(layout: Layout, console: Console) -> RunningCluster:
    with Reporter(console) as reporter:
        Up(layout, LocalSettings.load(), reporter).run()
    return RunningCluster(layout)
