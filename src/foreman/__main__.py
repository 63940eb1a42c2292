"""``python -m foreman`` is ``foreman``."""

from foreman.cli.main import main

if __name__ == "__main__":
    main()
