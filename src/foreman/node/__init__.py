"""One node's services around the pure machine: the inbox, the effects' interpreter, working directories, the gateway."""
