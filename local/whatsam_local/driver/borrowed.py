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


@contextmanager
def borrowed_cluster(console: Console) -> Generator[RunningCluster]:
    """Leave things as they were found: a cluster that ran goes on running, one that was started here is ended."""
    layout = Layout.find()
    record = read_record(layout.supervisor_record)
    ran_before = record is not None and record.runs()
    try:
        with Reporter(console) as reporter:
            Up(layout, LocalSettings.load(), reporter).run()
    except BaseException:
        if not ran_before:
            down.down(layout, keep=False)
        raise
    try:
        yield RunningCluster(layout)
    finally:
        if not ran_before:
            down.down(layout, keep=False)
