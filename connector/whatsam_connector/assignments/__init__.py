"""Which sessions this boot runs: the watch, and the difference to what runs."""
