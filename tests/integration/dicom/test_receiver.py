"""``edge-dicom receive`` with real peers: who is let in, what is acknowledged, and what happens without room."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pynetdicom import AE

from edge_runtime.assurance.audit.periods import AuditHistory
from edge_runtime.assurance.audit.verification import verify
from edge_runtime.bundle.site_policy_file import FILE
from edge_runtime.dicom.peer import TlsFiles
from edge_runtime.dicom.receiver import OUT_OF_RESOURCES, TOO_LARGE
from tests.dicom_kills import await_count, results
from tests.dicom_receiver import CALLER, Receiver, receiving
from tests.dicom_receiver import TITLE as RECEIVER
from tests.dicom_sources import encoded, ultrasound
from tests.orthanc import TITLE, Orthanc, debian
from tests.places import ROOT
from tests.site_policies import site_policy

NOBODY = "NOBODY@127.0.0.1:1"


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run ``edge-dicom``."""
    program = [sys.executable, "-m", "edge_runtime.cli.dicom", *map(str, arguments)]
    known = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(program, capture_output=True, text=True, check=False, env=known, timeout=120)


def echo(receiver: Receiver, *options: object) -> str:
    """Return what ``edge-dicom echo`` says on stderr; nothing if the receiver answers."""
    done = command("echo", "--to", f"{RECEIVER}@127.0.0.1:{receiver.port}", "--aet", CALLER, *options)
    assert (done.returncode == 0) is (done.stderr == ""), done
    return done.stderr


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.dcm"
    path.write_bytes(encoded(ultrasound(1)))
    return path


def test_results_reach_the_archive_and_what_comes_back_is_ignored(
    archive: Orthanc, dicom_bundle: Path, tmp_path: Path, image: Path
) -> None:
    with receiving(tmp_path / "r", dicom_bundle, f"{TITLE}@127.0.0.1:{archive.dicom}") as receiver:
        assert receiver.send(image) == [0]
        await_count(archive, 2, 30)
        back = tmp_path / "back"
        back.mkdir()
        for number, each in enumerate(archive.get("/instances")):
            (back / f"{number}.dcm").write_bytes(archive.get_bytes(f"/instances/{each}/file"))
        done = command("send", back, image, "--to", f"{RECEIVER}@127.0.0.1:{receiver.port}")
        assert (done.stdout, done.returncode) == (f"3 of 3 instances accepted by {RECEIVER}.\n", 0), done.stderr
        decisions = [event["decision"] for event in receiver.await_events("answered", 3)]
        assert sorted(decisions) == ["IGNORED", "REFER", "REFER"]  # the report is not even stored
        receiver.await_events("delivered", 4)
        assert set(results(archive).values()) == {1}
        assert receiver.stop() == 0


def test_a_new_site_policy_answers_without_a_restart(
    archive: Orthanc, dicom_bundle: Path, tmp_path: Path, image: Path
) -> None:
    policies = tmp_path / "policies"
    first = site_policy(dicom_bundle, policies, cutoff=0.93, version=1)
    options = (f"{TITLE}@127.0.0.1:{archive.dicom}", "--site-policy", str(policies / FILE))
    with receiving(tmp_path / "r", dicom_bundle, *options) as receiver:
        assert receiver.send(image) == [0]
        await_count(archive, 2, 30)
        (policies / FILE).write_bytes(b"{}")
        kept = receiver.await_events("model_kept", 1)
        assert kept[0]["code"].startswith("site_policy")
        second = site_policy(dicom_bundle, tmp_path / "new", cutoff=0.0, version=2)
        (tmp_path / "new" / FILE).replace(policies / FILE)
        (replaced,) = receiver.await_events("model_replaced", 1)
        assert replaced["site_policy"].endswith(second.id.sha256)
        assert receiver.send(image) == [0]
        await_count(archive, 4, 30)
        assert len(receiver.events("listening")) == 1
        said = b"".join(archive.get_bytes(f"/instances/{each}/file") for each in archive.get("/instances"))
    assert first.id.sha256.encode() in said and second.id.sha256.encode() in said


def test_the_audit_log_counts_answers_and_names_nobody(dicom_bundle: Path, tmp_path: Path, image: Path) -> None:
    log = tmp_path / "audit.jsonl"
    with receiving(tmp_path / "r", dicom_bundle, NOBODY, "--audit", str(log)) as receiver:
        assert receiver.send(image) == [0]
        (event,) = receiver.await_events("answered", 1)
        assert receiver.stop() == 0
    history = AuditHistory()
    assert verify([log], take=history.take).holds
    (period,) = history.periods
    assert (period.command, period.end is not None) == ("edge-dicom receive", True)
    assert period.decisions == {f"{event['decision']} {event['reason']}": 1} and not period.failures
    assert len(period.model.certificate or "") == 64
    assert b"1.2.826" not in log.read_bytes() and b"dcm" not in log.read_bytes()


def test_orthanc_sends_a_whole_study_with_our_results_in_it(
    archive: Orthanc, dicom_bundle: Path, tmp_path: Path, image: Path
) -> None:
    """It sends nothing of a study of which the receiver accepts a part alone."""
    with receiving(tmp_path / "r", dicom_bundle, f"{TITLE}@127.0.0.1:{archive.dicom}") as receiver:
        archive.post("/instances", image.read_bytes())
        modality = {"AET": RECEIVER, "Host": "127.0.0.1", "Port": receiver.port}
        archive.put("/modalities/edge", json.dumps(modality).encode())
        (study,) = archive.get("/studies")
        archive.post("/modalities/edge/store", study.encode())
        await_count(archive, 3, 30)
        archive.post("/modalities/edge/store", study.encode())  # now with report and heatmap; raises if one is refused
        receiver.await_events("delivered", 4)
        assert len(archive.get("/instances")) == 3


@pytest.mark.parametrize(
    "head", [b"\x01\x00\xff\xff\xff\xff", b"GET / HTTP/1.1\r\n\r\n", b"\x04\x00\x00\x00\x00\x04????"]
)
def test_bytes_that_are_no_association(head: bytes, dicom_bundle: Path, tmp_path: Path) -> None:
    """A length of 4 GiB, another protocol, and data without an association end the connection and nothing else."""
    with receiving(tmp_path / "r", dicom_bundle, NOBODY) as receiver:
        with socket.create_connection(("127.0.0.1", receiver.port), 20) as client:
            client.sendall(head + b"x" * 100_000)
            client.settimeout(20)
            with contextlib.suppress(ConnectionResetError):
                while client.recv(4096):
                    pass
        assert not echo(receiver)


def test_called_and_calling_titles_are_checked(dicom_bundle: Path, tmp_path: Path) -> None:
    with receiving(tmp_path / "r", dicom_bundle, NOBODY, "--allow", CALLER) as receiver:
        where = ("127.0.0.1", str(receiver.port))
        echoscu = debian("echoscu")
        assert subprocess.run([echoscu, "-aet", CALLER, "-aec", RECEIVER, *where], check=False).returncode == 0
        for titles in (("-aet", "OTHER", "-aec", RECEIVER), ("-aet", CALLER, "-aec", "OTHER")):
            done = subprocess.run([echoscu, *titles, *where], capture_output=True, text=True, check=False)
            assert done.returncode != 0 and "Not Recognized" in done.stderr
        assert not echo(receiver)
        assert "peer_rejects" in echo(receiver, "--aet", "OTHER")


def test_more_associations_than_allowed_are_rejected_and_others_go_on(dicom_bundle: Path, tmp_path: Path) -> None:
    with receiving(tmp_path / "r", dicom_bundle, NOBODY, "--max-associations", "2") as receiver:
        entity = AE(CALLER)
        entity.add_requested_context("1.2.840.10008.1.1")  # Verification
        held = [entity.associate("127.0.0.1", receiver.port, ae_title=RECEIVER) for _ in range(2)]
        assert all(each.is_established for each in held)
        assert "peer_rejects" in echo(receiver)
        for each in held:
            each.release()
        end = time.monotonic() + 20
        while echo(receiver):
            assert time.monotonic() < end


def test_a_full_spool_refuses_with_out_of_resources(dicom_bundle: Path, tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.dcm" for number in range(4)]
    for number, path in enumerate(files):
        path.write_bytes(encoded(ultrasound(number, (400, 500))))  # 600 kB each; results are larger
    with receiving(tmp_path / "r", dicom_bundle, NOBODY, "--spool-mib", "1") as receiver:
        statuses = receiver.send(*files)
        assert statuses[0] == 0 and OUT_OF_RESOURCES in statuses, statuses
        assert receiver.events("spool_full")


def test_too_large_an_instance_is_refused_and_the_next_one_taken(
    dicom_bundle: Path, tmp_path: Path, image: Path
) -> None:
    large = tmp_path / "large.dcm"
    large.write_bytes(encoded(ultrasound(2, (800, 1000))))
    with receiving(tmp_path / "r", dicom_bundle, NOBODY, "--max-mib", "1") as receiver:
        assert receiver.send(large, image) == [TOO_LARGE, 0]


def test_a_refusal_is_delivered_as_a_report(archive: Orthanc, dicom_bundle: Path, tmp_path: Path) -> None:
    refused = ultrasound(1)
    del refused.SequenceOfUltrasoundRegions
    path = tmp_path / "refused.dcm"
    path.write_bytes(encoded(refused))
    with receiving(tmp_path / "r", dicom_bundle, f"{TITLE}@127.0.0.1:{archive.dicom}") as receiver:
        assert receiver.send(path) == [0]
        await_count(archive, 1, 30)
        assert "dicom_regions_missing" in json.dumps(archive.tags("SR"))
        assert receiver.events("answered")[0]["reason"] == "dicom_regions_missing"


def test_a_damaged_object_is_set_aside_and_the_next_one_answered(
    archive: Orthanc, dicom_bundle: Path, tmp_path: Path, image: Path
) -> None:
    with receiving(tmp_path / "r", dicom_bundle, f"{TITLE}@127.0.0.1:{archive.dicom}", start=False) as receiver:
        incoming = receiver.spool / "incoming"
        incoming.mkdir(parents=True)
        (incoming / f"{1:020}-{'0' * 32}.dcm").write_bytes(image.read_bytes()[:2000])
        receiver.start()
        assert receiver.send(image) == [0]
        await_count(archive, 2, 30)
        assert receiver.events("set_aside")
        assert len(list((receiver.spool / "refused").iterdir())) == 1


def test_other_machines_are_let_in_with_titles_and_tls_alone(dicom_bundle: Path, tmp_path: Path) -> None:
    spool = ("--spool", tmp_path / "s", "--to", NOBODY, "--model", dicom_bundle, "--host", "0.0.0.0", "--port", "0")
    for options in ((), ("--allow", "A")):
        done = command("receive", *spool, *options)
        assert done.returncode == 2 and "--trusted-network" in done.stderr


def certificate(folder: Path) -> tuple[Path, Path]:
    """Write a certificate for 127.0.0.1 that signs itself, and its key."""
    folder.mkdir()
    paths = folder / "cert.pem", folder / "key.pem"
    made = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]
    made += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*made, "-out", str(paths[0]), "-keyout", str(paths[1])], check=True, capture_output=True)
    return paths


def test_tls_in_both_directions(dicom_bundle: Path, tmp_path: Path, image: Path) -> None:
    """One receiver delivers to another over TLS; plain connections and clients without a certificate get nothing."""
    own, key = certificate(tmp_path / "own")
    client, client_key = certificate(tmp_path / "client")
    server = ("--tls-cert", str(own), "--tls-key", str(key))
    with receiving(tmp_path / "b", dicom_bundle, NOBODY, *server, "--tls-client-ca", str(own)) as last:
        to = f"{RECEIVER}@127.0.0.1:{last.port}"
        with receiving(tmp_path / "a", dicom_bundle, to, *server, "--tls-client-ca", str(client),
                       "--to-tls", "--to-ca", str(own)) as first:  # fmt: skip
            known = TlsFiles(client, client_key, own)
            assert first.send(image, tls=known) == [0]
            first.await_events("delivered", 2)  # the heatmap and the report were taken, which TLS had to let through
            ca = ("--to-tls", "--to-ca", own)
            for wrong in ((), ca, (*ca, *server), ("--to-tls",)):  # plain, or without the right certificates
                assert "does not answer" in echo(first, *wrong)
            stalled = [socket.create_connection(("127.0.0.1", first.port)) for _ in range(3)]  # no handshake
            assert not echo(first, *ca, "--tls-cert", client, "--tls-key", client_key)
            for each in stalled:
                each.close()


def test_readiness_and_a_graceful_stop(dicom_bundle: Path, tmp_path: Path) -> None:
    with receiving(tmp_path / "r", dicom_bundle, NOBODY, start=False) as receiver:
        assert "peer_silent" in echo(receiver)
        receiver.start()
        assert not echo(receiver)  # at once: the file appears when it listens
        assert receiver.stop() == 0
        assert not receiver.ready.exists()
        assert receiver.events("stopping")


def test_systemd_is_told(dicom_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = f"/tmp/edge-notify-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(path)
        heard.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        try:
            with receiving(tmp_path / "r", dicom_bundle, NOBODY) as receiver:
                assert b"READY=1" in heard.recv(4096)
                receiver.stop()
                assert b"STOPPING=1" in heard.recv(4096)
        finally:
            Path(path).unlink()


def test_results_wait_for_an_absent_peer(dicom_bundle: Path, archive: Orthanc, tmp_path: Path, image: Path) -> None:
    archive.stop()
    with receiving(tmp_path / "r", dicom_bundle, f"{TITLE}@127.0.0.1:{archive.dicom}") as receiver:
        receiver.send(image)
        receiver.await_events("peer_fault", 2)
        receiver.kill()
        archive.start()
        receiver.start()
        await_count(archive, 2, 30)


def process_of(receiver: Receiver) -> int:
    assert receiver.process is not None
    return receiver.process.pid


def test_two_receivers_never_share_a_spool(dicom_bundle: Path, tmp_path: Path) -> None:
    with receiving(tmp_path / "r", dicom_bundle, NOBODY) as receiver:
        done = command("receive", "--spool", receiver.spool, "--to", NOBODY, "--model", dicom_bundle, "--port", "0")
        assert done.returncode == 2 and "another receiver" in done.stderr
        os.kill(process_of(receiver), signal.SIGINT)
        assert receiver.process is not None
        assert receiver.process.wait(30) == 0
