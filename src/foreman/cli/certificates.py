"""Certificates for TLS between nodes and their clients: an authority, and what it signs (X.509 v3, RFC 5280).

Owns what stands in a certificate. Touches no file and no clock: the moment comes in. A convenience for tests and small installations
that have no authority of their own: no revocation, no renewal, one key that signs everything. Nothing uses it but
``foreman cert``, and ``foreman demo --cluster`` for its own machines.
"""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from foreman.core.errors import ForemanError

BACKDATED: Final = timedelta(minutes=5)
"""A machine whose clock is a little behind takes a fresh certificate all the same."""

_SigningKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey
_LABEL: Final = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)")


class CertificateRefused(ForemanError, code="certificate_refused", status=422, fields=("reason",)):
    """Nothing was made."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class Use(Enum):
    """What a certificate is good for. A node is a client of other nodes too."""

    NODE = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
    CLIENT = (ExtendedKeyUsageOID.CLIENT_AUTH,)


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and its private key (PKCS #8, not encrypted), both PEM."""

    certificate: bytes
    key: bytes
    ends: datetime


class Authority:
    """Who signs. Made anew by :func:`new_authority`, or read back from its two files by :meth:`read`."""

    def __init__(self, certificate: x509.Certificate, key: _SigningKey) -> None:
        self._certificate, self._key = certificate, key

    @classmethod
    def read(cls, certificate: bytes, key: bytes) -> "Authority":
        """From PEM; any authority's, whose key is RSA, EC, Ed25519 or Ed448. Raises CertificateRefused, saying what is wrong with which."""
        try:
            read = x509.load_pem_x509_certificate(certificate)
            constraints = read.extensions.get_extension_for_class(x509.BasicConstraints).value
        except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension) as error:
            raise CertificateRefused(f"the authority's certificate cannot be used: {error}") from error
        if not constraints.ca:
            raise CertificateRefused("this certificate is no authority's: it must not sign others")
        signing = _read_key(key)
        if signing.public_key() != read.public_key():
            raise CertificateRefused("the authority's key does not belong to its certificate")
        return cls(read, signing)

    def issue(self, name: str, use: Use, hosts: Sequence[str], *, now: datetime, days: int) -> Issued:
        """A certificate for ``name``, good for ``use`` under ``hosts`` (IP addresses and DNS names) until ``days`` from ``now``.

        Raises CertificateRefused: a node without a host, no host at all, or an authority that ends before.
        """
        if use is Use.NODE and not hosts:
            raise CertificateRefused("a node needs a host, an IP address or DNS name under which it is reached")
        ends = now + timedelta(days=days)
        if ends > self._certificate.not_valid_after_utc:
            raise CertificateRefused(
                f"the authority ends on {self._certificate.not_valid_after_utc:%Y-%m-%d}: give fewer days, or make a new authority"
            )
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_named(name), self._certificate.subject, key, now, ends)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_key_usage(authority=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage(use.value), critical=False)
        builder = builder.add_extension(self._identifier(), critical=False)
        if hosts:
            names = [_host(host) for host in dict.fromkeys(hosts)]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return Issued(_signed(builder, self._key), _private_pem(key), ends)

    def _identifier(self) -> x509.AuthorityKeyIdentifier:
        """By the authority's own identifier where it has one, as RFC 5280 4.2.1.1 wants it."""
        try:
            own = self._certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        except x509.ExtensionNotFound:
            return x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def new_authority(name: str, *, now: datetime, days: int) -> Issued:
    """A self-signed authority that may sign certificates of nodes and clients, and no other authority's."""
    key, ends = ec.generate_private_key(ec.SECP256R1()), now + timedelta(days=days)
    builder = _builder(_named(name), _named(name), key, now, ends)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_key_usage(authority=True), critical=True)
    return Issued(_signed(builder, key), _private_pem(key), ends)


def parse_host(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | str:
    """An IP address, or a DNS name in lower case. Raises ValueError for what is neither: a port, a URL, a zone, a wildcard."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        labels = text.split(".")
        numeric = labels[-1].isdigit()  # a mistyped address: no top-level domain is a number (RFC 3696, 2)
        if len(text) > 253 or numeric or not all(_LABEL.fullmatch(label) for label in labels):
            raise ValueError(f"{text[:80]!r} is no IP address or DNS name (no port, no https://, no *)") from None
        return text.lower()
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id is not None:
        raise ValueError(f"{text[:80]!r}: a zone means something on one machine only") from None
    return address


def _host(text: str) -> x509.GeneralName:
    try:
        host = parse_host(text)
    except ValueError as error:
        raise CertificateRefused(str(error)) from error
    return x509.DNSName(host) if isinstance(host, str) else x509.IPAddress(host)


def _named(name: str) -> x509.Name:
    if not 1 <= len(name) <= 64 or not name.isprintable():  # ub-common-name, RFC 5280 appendix A.1
        raise CertificateRefused(f"{name[:80]!r} cannot be a certificate's name: 1 to 64 printable characters")
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, ends: datetime
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number(), now - BACKDATED, ends)
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority, key_cert_sign=authority, crl_sign=authority, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _signed(builder: x509.CertificateBuilder, key: _SigningKey) -> bytes:
    own = isinstance(key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey)  # these bring their own hash
    return builder.sign(key, None if own else hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _read_key(pem: bytes) -> _SigningKey:
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except TypeError as error:
        raise CertificateRefused("the authority's key is encrypted: decrypt it first (`openssl pkey`)") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CertificateRefused(f"the authority's key cannot be read: {str(error).splitlines()[0][:200]}") from error
    if not isinstance(key, _SigningKey):
        raise CertificateRefused("the authority's key is of a kind that signs no certificates here: RSA, EC, Ed25519 or Ed448")
    return key
