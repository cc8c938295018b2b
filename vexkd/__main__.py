"""``python -m vexkd`` is the ``vexkd`` command."""

from vexkd.cli.app import main

main()
