"""The one entry point, also installed as the command `mavrl`: `python run.py --help`."""

from mavrl.cli import main

if __name__ == "__main__":
    main()
