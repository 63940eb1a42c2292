"""TLS between workers and whoever talks to them: both ends show a certificate, and trust one authority and nobody else.

``tls`` is the param of a worker: paths of its certificate, its key, and the authority that signs everybody's (PEM). Read anew for each
context, so that what is replaced on the disk counts for the next one.
"""

import ssl
from collections.abc import Mapping


def server_context(tls: Mapping[str, str]) -> ssl.SSLContext:
    """Who listens. A client without a certificate of the authority is not let in. Raises OSError, naming the files."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    return _loaded(context, tls)


def client_context(tls: Mapping[str, str]) -> ssl.SSLContext:
    """Who connects. The other end's certificate must be the authority's and name the host that was meant. Raises OSError, as above."""
    return _loaded(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), tls)  # which checks certificate and host by itself


def _loaded(context: ssl.SSLContext, tls: Mapping[str, str]) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(tls["certificate"], tls["key"])
        context.load_verify_locations(tls["client_ca"])
    except OSError as error:  # its own words do not say which file
        raise OSError(error.errno, f"{', '.join(tls.values())}: {error.strerror or error}") from error
    return context
