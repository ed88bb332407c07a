"""`python -m wf` is `wf`."""

from wf.cli import main

raise SystemExit(main())
