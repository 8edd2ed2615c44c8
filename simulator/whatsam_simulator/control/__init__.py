"""The control API: how tests play the people behind phones and contacts, inject faults, and read the journal."""
