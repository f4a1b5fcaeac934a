"""Tasks: what the command line can do, one short file each."""
