"""`python -m streameval`: the command line."""

from streameval.cli import process

if __name__ == "__main__":
    process()
