"""A C-STORE and C-ECHO receiver (SCP): an instance is acknowledged when it is on the disk, and not before.

Every storage SOP class is accepted: a sender such as Orthanc sends no instance of a study of which one is not accepted.
What has no pixels for a model is dropped later (:mod:`edge_runtime.dicom.gateway`).
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge_runtime.dicom.header import is_structured_report
from edge_runtime.dicom.limited_server import ESTABLISH_S, limited_server
from edge_runtime.dicom.peer import TlsFiles
from edge_runtime.dicom.room import SpoolFullError
from edge_runtime.dicom.spool import Spool
from edge_runtime.errors import UsageError

if TYPE_CHECKING:
    from pynetdicom.events import Event

LOOPBACK = ("127.0.0.1", "::1", "localhost")
OUT_OF_RESOURCES = 0xA700
"""Status of an instance for which there is no room (PS3.4, table B.2-1)."""

CANNOT_UNDERSTAND = 0xC000
TOO_LARGE = 0xC001
"""Status of an instance beyond the limit; the next ones of the association are taken."""

_SUCCESS = 0x0000
_PDU_BYTES = 131_072
_LARGEST_COMMAND = 1 << 20
_PREAMBLE = b"\0" * 128 + b"DICM"

Log = Callable[..., None]


@dataclass(frozen=True)
class Listening:
    """Where a receiver listens, and whom it serves.

    Attributes:
        title: its AE title; requests for another one are rejected.
        host, port: TCP address.
        callers: AE titles that may call; empty for all.
        tls: files for TLS; None for plain connections.
        most_associations: associations at the same time; further ones are rejected.
        most_bytes: largest instance, in bytes.
        idle_s: longest pause of a peer, in seconds.
        trusted_network: other machines may connect without TLS and allowed callers.
    """

    title: str
    host: str
    port: int
    callers: tuple[str, ...] = ()
    tls: TlsFiles | None = None
    most_associations: int = 4
    most_bytes: int = 128 << 20
    idle_s: float = 60.0
    trusted_network: bool = False

    def check(self) -> None:
        """Refuse an address that other machines reach without allowed callers and TLS.

        Raises:
            UsageError: see above.
        """
        if self.host in LOOPBACK or self.trusted_network or (self.callers and self.tls is not None):
            return
        raise UsageError(
            f"found --host {self.host}, which other machines reach, expected --allow and --tls-cert with it. Give "
            "both, or --trusted-network if the network itself keeps others out, or listen on 127.0.0.1."
        )


class Receiver:
    """The running receiver."""

    def __init__(
        self, where: Listening, spool: Spool, received: Callable[[], None], log: Log, *, keeps_reports: bool = False
    ) -> None:
        """Bind the address; :meth:`start` begins to answer.

        Args:
            where: address and limits.
            spool: takes the instances.
            received: called after each stored instance.
            log: called with an event and fields; none of them is of a data set.
            keeps_reports: whether structured reports are stored, as they may mark regions; otherwise they are
                acknowledged and dropped.

        Raises:
            UsageError: the address cannot be used, or a file for TLS is wrong.
        """
        from pynetdicom import AE, _config, evt

        where.check()
        _config.UNRESTRICTED_STORAGE_SERVICE = True
        self._where, self._spool, self._received, self._log = where, spool, received, log
        self._keeps_reports = keeps_reports
        entity = AE(where.title)
        entity.add_supported_context("1.2.840.10008.1.1")
        entity.maximum_associations, entity.maximum_pdu_size = where.most_associations, _PDU_BYTES
        entity.require_called_aet, entity.require_calling_aet = True, list(where.callers)
        entity.acse_timeout = ESTABLISH_S
        entity.dimse_timeout = entity.network_timeout = where.idle_s
        handlers: list[Any] = [(evt.EVT_C_STORE, self._store), (evt.EVT_C_ECHO, lambda event: _SUCCESS)]
        handlers += [(evt.EVT_REJECTED, lambda event: log("association_rejected")), (evt.EVT_PDU_RECV, self._limit)]
        context = None if where.tls is None else where.tls.server()
        try:
            self._server = limited_server(entity, (where.host, where.port), where.idle_s, context, handlers)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or "invalid"
            raise UsageError(
                f"the receiver cannot listen on {where.host}:{where.port} ({reason}). Free the port or name another."
            ) from None
        entity._servers.append(self._server)
        self._entity = entity
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="listener", daemon=True)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._server.server_address[1])

    @property
    def alive(self) -> bool:
        """Whether it still accepts connections."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Answer from now on; connections that waited are answered, too."""
        self._thread.start()

    def stop(self, grace_s: float) -> None:
        """Accept no more, let running associations end for ``grace_s`` seconds, and abort the others."""
        self._server.shutdown()
        for association in self._entity.active_associations:
            association.join(grace_s)
            if association.is_alive():
                association.abort()

    def _limit(self, event: Event) -> None:
        """Stop keeping what a peer sends once it is beyond the limits; called after each PDU."""
        message = event.assoc.dimse.message
        if message is None:
            return
        if message.encoded_command_set.tell() > _LARGEST_COMMAND:
            message.encoded_command_set = _Discarded()  # it cannot be decoded: the association ends
        if message.data_set is not None and message.data_set.tell() > self._where.most_bytes:
            message.data_set = _Discarded()

    def _store(self, event: Event) -> int:
        try:
            sop_class = str(event.request.AffectedSOPClassUID or "")
            if is_structured_report(sop_class) and not self._keeps_reports:
                return _SUCCESS  # a report of ours that comes back, or of others: nothing to classify
            if isinstance(event.request.DataSet, _Discarded):
                self._log("too_large", most=self._where.most_bytes)
                return TOO_LARGE
            meta, data = _meta(event), event.request.DataSet.getbuffer()
            self._spool.add((_PREAMBLE, meta, data), len(_PREAMBLE) + len(meta) + len(data))
        except SpoolFullError:
            self._log("spool_full")
            return OUT_OF_RESOURCES
        except OSError as error:
            self._log("spool_fault", errno=error.errno)
            return OUT_OF_RESOURCES
        except Exception as error:  # a text of pydicom may quote a value
            self._log("instance_refused", fault=type(error).__name__)
            return CANNOT_UNDERSTAND
        self._log("received", bytes=len(data))
        self._received()
        return _SUCCESS


def _meta(event: Event) -> bytes:
    """Return the encoded file meta information, with nothing of the sender."""
    from pydicom.filewriter import write_file_meta_info
    from pynetdicom.dsutils import create_file_meta

    request, file = event.request, io.BytesIO()
    meta = create_file_meta(
        sop_class_uid=request.AffectedSOPClassUID,
        sop_instance_uid=request.AffectedSOPInstanceUID,
        transfer_syntax=event.context.transfer_syntax,
    )
    write_file_meta_info(file, meta)
    return file.getvalue()


class _Discarded(io.BytesIO):
    """Takes the place of an instance that is too large, and keeps nothing of it."""

    def write(self, data: bytes, /) -> int:  # type: ignore[override]
        """Drop the data."""
        return len(data)
