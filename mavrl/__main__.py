"""The command line, for `python -m mavrl`."""

from mavrl.cli import main

if __name__ == "__main__":
    main()
