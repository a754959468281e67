"""`python -m streameval`: the command line."""

from streameval.cli import keep_to_itself, main

if __name__ == "__main__":
    keep_to_itself()
    main()
