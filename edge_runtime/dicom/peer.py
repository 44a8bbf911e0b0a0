"""Another application entity: its address, TLS, and the C-STORE and C-ECHO requests that this package sends it."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.dicom.refusals import Refusal
from edge_runtime.errors import UsageError

if TYPE_CHECKING:
    from pynetdicom import AE
    from pynetdicom.association import Association

SUCCESS = 0x0000
CLASS_REFUSED = 0x0122
"""Status where the peer accepts no instance of this SOP class in this transfer syntax (PS3.7, annex C)."""

_WARNINGS = range(0xB000, 0xC000)
_AE_TITLE = re.compile(r"[\x21-\x5b\x5d-\x7e](?:[\x20-\x5b\x5d-\x7e]{0,14}[\x21-\x5b\x5d-\x7e])?")
_PEER = re.compile(r"(?P<title>[^@]+)@(?:\[(?P<v6>[0-9A-Fa-f:]+)\]|(?P<host>[^:\[\]]+)):(?P<port>\d{1,5})")
_CONTEXTS = 128  # of one association (PS3.8, 9.3.2.2)


class PeerError(Exception):
    """A peer does not answer, or refuses the association. ``code`` says which; the text names no patient."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True)
class TlsFiles:
    """Files for TLS, PEM.

    Attributes:
        certificate, key: this side's; None if the other side asks for none.
        authority: certificates that the other side's has to be signed by; None for those of the system.
    """

    certificate: Path | None = None
    key: Path | None = None
    authority: Path | None = None

    def client(self) -> ssl.SSLContext:
        """Return the context of a side that connects; the peer's certificate and name are checked.

        Raises:
            UsageError: a file is missing or is not what it should be.
        """
        return self._context(ssl.Purpose.SERVER_AUTH)

    def server(self) -> ssl.SSLContext:
        """Return the context of a side that listens; with an authority, clients must show a certificate.

        Raises:
            UsageError: as in :meth:`client`, or certificate or key are not given.
        """
        if self.certificate is None or self.key is None:
            raise UsageError("found no --tls-cert and --tls-key, expected both for TLS. Give both.")
        context = self._context(ssl.Purpose.CLIENT_AUTH)
        if self.authority is not None:
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def _context(self, purpose: ssl.Purpose) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(purpose, cafile=self.authority)
        except (OSError, ssl.SSLError):
            raise UsageError(
                f"{self.authority}: found no certificate of an authority, expected a file with one, PEM. Correct it."
            ) from None
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.certificate is not None:
            try:
                context.load_cert_chain(self.certificate, self.key)
            except (OSError, ssl.SSLError):
                raise UsageError(
                    f"{self.certificate}: found no certificate that fits the key, expected both, PEM. Correct them."
                ) from None
        return context


@dataclass(frozen=True)
class Peer:
    """Another application entity.

    Attributes:
        title: its AE title.
        host, port: its address.
        own_title: the AE title that it knows this side by.
        tls: files for TLS; None for plain connections.
        timeout_s: longest wait for an answer, in seconds.
    """

    title: str
    host: str
    port: int
    own_title: str
    tls: TlsFiles | None = None
    timeout_s: float = 30.0

    @classmethod
    def parse(cls, text: str, own_title: str, tls: TlsFiles | None = None) -> Peer:
        """Parse ``AET@host:port``; an IPv6 address stands in brackets.

        Raises:
            UsageError: the text has another form.
        """
        found = _PEER.fullmatch(text)
        if found is None or not 0 < int(found["port"]) < 65536:
            raise UsageError(
                f"peer {text!r}: found another form, expected AET@host:port, such as ORTHANC@127.0.0.1:4242."
            )
        return cls(ae_title(found["title"]), found["v6"] or found["host"], int(found["port"]), own_title, tls)

    def echo(self) -> None:
        """Send a C-ECHO.

        Raises:
            PeerError: the peer does not answer, or does not verify.
        """
        from pynetdicom import AE

        entity = AE(self.own_title)
        entity.add_requested_context("1.2.840.10008.1.1")
        association = self._associated(entity)
        try:
            status = association.send_c_echo()
        finally:
            _end(association)
        if status.get("Status") != SUCCESS:
            raise PeerError("echo_refused")

    def store(self, files: Iterable[Path]) -> Iterator[tuple[Path, int | None]]:
        """Send files, and yield each with the peer's status; None if the association ended before an answer.

        Files that disappear meanwhile are left out.

        Raises:
            PeerError: the peer does not answer, or refuses the association.
        """
        for group in _groups(files):
            yield from self._store_group(group)

    def _store_group(self, group: list[tuple[Path, str, str]]) -> Iterator[tuple[Path, int | None]]:
        from pynetdicom import AE, _config

        _config.STORE_SEND_CHUNKED_DATASET = True  # the file's bytes as they are: nothing is decoded and encoded again
        entity = AE(self.own_title)
        for sop_class, syntax in dict.fromkeys((sop_class, syntax) for _, sop_class, syntax in group):
            entity.add_requested_context(sop_class, syntax)
        association = self._associated(entity)
        try:
            for path, _, _ in group:
                if not association.is_established:
                    yield path, None
                    continue
                yield path, _sent(association, path)
        finally:
            _end(association)

    def _associated(self, entity: AE) -> Association:
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = entity.connection_timeout = self.timeout_s
        tls = None if self.tls is None else (self.tls.client(), self.host)
        association = entity.associate(self.host, self.port, ae_title=self.title, tls_args=tls)
        if association.is_established:
            return association
        _end(association)
        raise PeerError("peer_rejects" if association.is_rejected else "peer_silent")


def _end(association: Association) -> None:
    """Release an association, if it is established, and close its socket, which pynetdicom may leave open."""
    below = association.dul.socket
    connection = None if below is None else below.socket
    association.release()
    if connection is not None:
        connection.close()


def require_packages() -> None:
    """Raise UsageError if a package of the extra ``dicom`` is missing."""
    try:
        import pydicom  # noqa: F401
        import pynetdicom  # noqa: F401
    except ModuleNotFoundError as error:
        raise UsageError(
            f'found no package {error.name}, expected the extra dicom. Run: pip install "edge-predict[dicom]"',
            code=Refusal.NOT_INSTALLED.code,
        ) from None


def accepts(status: int | None) -> bool:
    """Return whether a status says that the peer has the instance (PS3.4, table B.2-1)."""
    return status is not None and (status == SUCCESS or status in _WARNINGS)


def ae_title(text: str) -> str:
    r"""Return a valid AE title (PS3.5, 6.2): 1 to 16 printable characters, no backslash.

    Raises:
        UsageError: it is not valid.
    """
    if not _AE_TITLE.fullmatch(text):
        raise UsageError(f"AE title {text!r}: expected 1 to 16 printable ASCII characters, no backslash. Correct it.")
    return text


def _sent(association: Association, path: Path) -> int | None:
    try:
        status = association.send_c_store(path)
    except ValueError:
        return CLASS_REFUSED
    except (FileNotFoundError, RuntimeError, AttributeError):
        return None  # the file has gone, or the association has ended
    return int(status.Status) if "Status" in status else None


def _groups(files: Iterable[Path]) -> Iterator[list[tuple[Path, str, str]]]:
    """Yield files with SOP class and transfer syntax, in groups that need no more contexts than one association has."""
    from pydicom.filereader import read_file_meta_info

    group: list[tuple[Path, str, str]] = []
    for path in files:
        try:
            meta = read_file_meta_info(path)
            entry = path, str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID)
        except (OSError, AttributeError, ValueError):
            continue
        kinds = {each[1:] for each in group} | {entry[1:]}
        if len(kinds) > _CONTEXTS:
            yield group
            group = []
        group.append(entry)
    if group:
        yield group
