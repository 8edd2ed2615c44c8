"""What exists: accounts, their devices and mailboxes, groups, media; and how it is kept across restarts."""
