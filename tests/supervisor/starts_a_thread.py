"""A module that should never be preloaded: importing it starts a thread, which no fork takes along."""

import threading

STOP = threading.Event()
threading.Thread(target=STOP.wait, daemon=True).start()
