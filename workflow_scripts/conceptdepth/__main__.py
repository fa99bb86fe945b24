"""``python -m conceptdepth``: the command line without installation, in the folder of the workflow."""

from conceptdepth.commands.main import main

if __name__ == "__main__":
    main()
