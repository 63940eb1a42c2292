"""GET of a short key at the latest version, in one function: most of what a storage worker does.

The common way (commands.py, reading.py) gives the same answer for ten times the calls; what is not so plain goes there. Owns nothing: what
it looks at changes under it with each flush, so it holds on to the store and the engine only.
"""

from collections.abc import Callable

import lmdb

from foreman.workers.storage.engine import storage_fault
from foreman.workers.storage.long_keys import CHUNK, ROOT
from foreman.workers.storage.store import Store
from foreman.workers.wire import Pending, RespConnection, replies

Handler = Callable[[RespConnection, list[bytes]], bytes | Pending]


def quick_get(store: Store, otherwise: Handler) -> Handler:
    """The handler of GET. ``otherwise`` answers all that is not the plain case. It raises StorageFault."""
    engine = store.engine

    def get(connection: RespConnection, words: list[bytes]) -> bytes | Pending:
        if len(words) != 2:
            return otherwise(connection, words)
        key, window = words[1], store.window
        if len(key) >= CHUNK or not (store.served_from <= key < store.served_to and window.clears.empty):
            return otherwise(connection, words)
        value: bytes | None
        if key in window.chains:
            value = window.chains[key][-1]
        else:
            try:
                value = engine.lookup(ROOT + key, None, engine.data)
            except lmdb.Error as error:
                raise storage_fault(error, engine.path) from error
        return replies.NULL if value is None else b"$%d\r\n%b\r\n" % (len(value), value)

    return get
