"""`python -m sigmascope` is the command line."""

from .cli import main

main()
