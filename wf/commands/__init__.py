"""The subcommands of `wf`, one module each: `add_arguments(parser)` and `execute(arguments) -> exit code`."""
