"""One module per scenario; each has `measure(cluster) -> figures`."""
