"""The command `whatsam-local`: a cluster on one machine. Parses, calls one service, says what came of it."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from whatsam_core.errors import WhatsamError
from whatsam_local import down as down_service
from whatsam_local import pods
from whatsam_local import status as status_service
from whatsam_local.control import Control
from whatsam_local.errors import LocalError
from whatsam_local.layout import NAMESPACE, Layout
from whatsam_local.machine import part_environment, system_path
from whatsam_local.progress import Reporter

application = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
part_commands = typer.Typer(help="Stop, start, kill, freeze or thaw one part of the running cluster.")
application.add_typer(part_commands, name="part")
console = Console(highlight=False)

Name = Annotated[str, typer.Argument(help="Name of the part, as in `status`")]
Namespace = Annotated[str, typer.Option("--namespace", "-n", help="Of the pod")]
ANYTHING = {"allow_extra_args": True, "ignore_unknown_options": True}


@application.command()
def up(
    bare: Annotated[bool, typer.Option("--bare", help="Only the control plane, the node and the services")] = False,
) -> None:
    """Start the cluster of this checkout and install Whatsam into it."""
    layout = Layout.find()
    if _bring_up(layout, bare=bare):
        console.print("The cluster is up.", style="green")
        status_service.show_doors(layout, console)
        return
    console.print("The cluster runs already.", style="green")
    raise typer.Exit(status_service.show(layout, console))


@application.command()
def down(keep: Annotated[bool, typer.Option(help="Keep the data for the next `up` (also: KEEP=1)")] = False) -> None:
    """End the cluster and everything that belongs to it."""
    from whatsam_local.settings import LocalSettings

    ended = down_service.down(Layout.find(), keep=keep or LocalSettings.load().keep)
    if ended.launches:
        console.print("An `up` that was under way has been ended.")
    console.print("The cluster is down." if ended.supervisor else "No cluster of this checkout was running.")


@application.command()
def status() -> None:
    """Show the parts; exit code 0: all run, 1: some do not, 3: no cluster."""
    raise typer.Exit(status_service.show(Layout.find(), console))


@application.command()
def logs(
    part: Annotated[str, typer.Argument(help="Name of the part, as in `status`")] = "",
    lines: Annotated[int, typer.Option("--lines", "-n", help="How many of the last lines")] = 100,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as they come")] = False,
) -> None:
    """Show what a part said. Pods: kubectl logs."""
    layout = Layout.find()
    file = layout.logs / f"{part}.log"
    if not part or not file.exists():
        names = ", ".join(sorted(path.stem for path in layout.logs.glob("*.log"))) or "none"
        problem = f"no log of {part!r}" if part else "no part named"
        raise LocalError(f"{problem}; there are: {names}. What pods say: kubectl logs deploy/whatsam-operator")
    raise typer.Exit(subprocess.call(["tail", f"-n{lines}", *(["-F"] if follow else []), str(file)]))


def _part_command(verb: str, text: str) -> Callable[[str], None]:
    def command(name: Name) -> None:
        described = Control(Layout.find()).part(verb, name)
        console.print(f"{name}: {_state(described)}")

    command.__doc__ = text
    return command


for _verb, _text in {
    "start": "Start a part that is stopped or dead, and wait until it is ready.",
    "stop": "End a part in good order (SIGTERM, after 10 s SIGKILL).",
    "kill": "End a part as a crash would (SIGKILL).",
    "freeze": "Halt a part where it is (SIGSTOP).",
    "thaw": "Let a frozen part go on (SIGCONT).",
}.items():
    part_commands.command(_verb)(_part_command(_verb, _text))


@application.command("exec", context_settings=ANYTHING)
def execute(context: typer.Context) -> None:
    """Run a command inside the cluster's namespaces: whatsam-local exec -- curl https://10.88.0.1/livez"""
    argv = context.args
    if not argv:
        raise LocalError("which command? whatsam-local exec -- COMMAND ...")
    layout = Layout.find()
    path = system_path(layout.checkout / ".venv" / "bin")
    # env finds the program in PATH; the kubeconfig is the one that is valid inside.
    env = {**part_environment(layout, path), "KUBECONFIG": str(layout.inner_kubeconfig)}
    env.update({name: os.environ[name] for name in ("TERM", "COLUMNS", "LINES") if name in os.environ})
    raise typer.Exit(Control(layout).execute(["/usr/bin/env", *argv], env, str(Path.cwd())))


@application.command()
def signal(
    pod: Annotated[str, typer.Option(help="Name of the pod")],
    name: Annotated[str, typer.Option("--signal", help="KILL, STOP, CONT, TERM …")],
    everything: Annotated[bool, typer.Option("--all", help="All processes of the container")] = False,
    namespace: Namespace = NAMESPACE,
    container: Annotated[str, typer.Option("--container", "-c", help="Needed when the pod runs several")] = "",
) -> None:
    """Send a signal to the processes of a pod, behind the node's back."""
    options = [*(["--all"] if everything else []), *([f"--container={container}"] if container else [])]
    raise typer.Exit(pods.signal(Layout.find(), namespace, pod, name.removeprefix("SIG"), options))


@application.command()
def link(
    pod: Annotated[str, typer.Option(help="Name of the pod")],
    way: Annotated[str, typer.Argument(metavar="up|down")],
    namespace: Namespace = NAMESPACE,
) -> None:
    """Cut a pod off the network, or connect it again."""
    raise typer.Exit(pods.link(Layout.find(), namespace, pod, way))


@application.command()
def demo() -> None:
    """Bring the cluster up, then show the main job: pair, talk, lose the pod, talk on."""
    from whatsam_local.demo import Demo

    layout = Layout.find()
    _bring_up(layout)
    Demo(layout, console).run()


@application.command()
def build() -> None:
    """Build the control plane and both variants of the engine in Go, as far as they are not in the cache."""
    from whatsam_local import programs

    checkout = Layout.find().checkout
    with Reporter(console) as reporter:
        wanted = (
            programs.engine(checkout, simulator=False),
            programs.engine(checkout, simulator=True),
            programs.control_plane(checkout),
        )
        built = [programs.build(program, reporter) for program in wanted]
    for path in built:
        console.print(f"Built: {path}", soft_wrap=True)


@application.command()
def go() -> None:
    """Say where the Go is that builds them; one is fetched if there is none."""
    from whatsam_local.builder import cache_directory
    from whatsam_local.settings import LocalSettings
    from whatsam_local.toolchain import find_go

    with Reporter(Console(stderr=True, highlight=False)) as reporter, reporter.step("Looking for Go") as step:
        found = find_go(cache_directory(LocalSettings.load().cache_home), step)
    sys.stdout.write(f"{found}\n")


def _bring_up(layout: Layout, *, bare: bool = False) -> bool:
    # Imported here: all the other commands answer in half the time without what only `up` needs.
    from whatsam_local.settings import LocalSettings
    from whatsam_local.up import Up

    with Reporter(console) as reporter:
        return Up(layout, LocalSettings.load(), reporter).run(bare=bare)


def _state(part: dict[str, Any]) -> str:
    state = "frozen" if part["frozen"] else part["state"]
    return f"{state} ({part['ended_by']})" if part["ended_by"] else str(state)


def main() -> None:
    """Entry point: a foreseen failure is one message and exit code 1, not a traceback."""
    try:
        application()
    except WhatsamError as error:
        console.print(str(error), style="red", markup=False, soft_wrap=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
