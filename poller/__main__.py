"""``python -m poller`` is the same as ``poller``: this file is the door for Python."""

from poller.cli import main

raise SystemExit(main())
