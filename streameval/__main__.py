"""`python -m streameval`: the command line."""

from streameval.cli import main

if __name__ == "__main__":
    main()
