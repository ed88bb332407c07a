"""Actions of the format that have no image: programs of `wf`, run on this machine as processes of their own.

Each is given its parameters as JSON on its command line, after `--with`. Texts in them may name variables of the job's
environment, which hold the secrets: neither its values nor anything made of them is ever put on a command line.
"""
