"""One module per command: add_arguments(parser) and run(arguments) → exit status. Listed in collector/cli.py."""

PROGRAM = "lightfloor-collector"


class CommandError(Exception):
    """The command cannot do what was asked; the message is the one line shown. Exit status 2."""
