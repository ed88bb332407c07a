"""What the `gradient` command of scripts talks to: the part of Paperspace's API that its clients use, answered from
this project's store. `emulator` puts it together for the server of a run.
"""
