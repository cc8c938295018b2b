"""The one exception that means "the user can mend this".

It lies in the lowest room because every room raises it; the command line turns it into one line and exit code 2.
"""


class UserError(Exception):
    """A mistake in what the user gave: the message says what came, what was expected and what to do."""
