"""``python -m conceptdepth``: the command line without installation, in the folder of the workflow."""

import sys

if __name__ == "__main__":
    try:
        from conceptdepth.commands.main import main
    except ModuleNotFoundError as error:  # Of a Python without what requirements.txt lists.
        sys.exit(f"Error: this Python has no {error.name}; type `make run`, then `.venv/bin/conceptdepth`.")
    main()
