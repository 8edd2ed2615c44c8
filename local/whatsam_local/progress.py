"""How long work shows itself: spinners and bars on a terminal, one plain line per finished step elsewhere."""

import time
from collections.abc import Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn


class Step:
    """One step that is under way."""

    def __init__(self, reporter: "Reporter", title: str, task: TaskID | None) -> None:
        self._reporter = reporter
        self._task = task
        self._title = title
        self._told = time.monotonic()
        self.note = ""
        """Shown behind the step's name when it is done."""

    def update(self, note: str, done: int | None = None, total: int | None = None) -> None:
        """Say how far it is. On a terminal at once; elsewhere a line every 20 seconds."""
        if self._task is not None:
            self._reporter.bar.update(
                self._task, description=f"{self._title} [dim]{note}", completed=done, total=total or None
            )
            return
        now = time.monotonic()
        if now - self._told >= _PLAIN_EVERY:
            self._told = now
            share = f" ({done}/{total})" if total else ""
            self._reporter.line(f"  … {self._title}: {note}{share}")


_PLAIN_EVERY = 20.0  # seconds between two lines about one step where there is no terminal


class Reporter:
    """Where steps are shown. Use as a context manager."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        self.bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
        )

    def __enter__(self) -> "Reporter":
        if self.console.is_terminal:
            self.bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.bar.stop()

    def line(self, text: str) -> None:
        self.console.print(text, soft_wrap=True)

    @contextmanager
    def step(self, title: str, *, announce: bool = False) -> Generator[Step]:
        """Show a step while the block runs, and its time when it is done. `announce`: say when it begins."""
        if announce:
            self.line(f"{title} …")
        began = time.monotonic()
        task = self.bar.add_task(title, total=None) if self.console.is_terminal else None
        step = Step(self, title, task)
        try:
            yield step
        except BaseException:
            self.line(f"[red]✗[/] {title} [dim]({time.monotonic() - began:.1f} s)[/]")
            raise
        else:
            note = f" [dim]{step.note}[/]" if step.note else ""
            self.line(f"[green]✓[/] {title}{note} [dim]{time.monotonic() - began:.1f} s[/]")
        finally:
            if task is not None:
                self.bar.remove_task(task)
