"""An HTTP server that lives inside `wf run`: how jobs ask `wf` for something, such as a deployment."""
