"""The report of a site acceptance as one HTML file: no script, nothing from elsewhere, light and dark, to print."""

from __future__ import annotations

from html import escape

from edge_runtime.assurance.acceptance import Claim, Finding, Share
from edge_runtime.assurance.html import document, table
from edge_runtime.assurance.report import AcceptanceReport

_CLASS = {Finding.SHOWN: "shown", Finding.BELOW: "below", Finding.NOT_SHOWN: "open", None: ""}
_WIDTH = 600


def page_of(report: AcceptanceReport) -> str:
    """Return the page; every text from outside is escaped."""
    protocol, result = report.protocol, report.result
    title = f"Site acceptance of {protocol.model} {protocol.version}"
    verdict = ("shown", "Accepted: every floor was shown.") if result.accepted else ("below", "Not accepted.")
    claims = protocol.claims
    return document(
        title,
        [
            f'<p class="verdict {verdict[0]}">{verdict[1]}</p>',
            *(f'<p class="open">{escape(note)}</p>' for note in result.notes),
            "<h2>Floors</h2>",
            *(_drawn(claim) for claim in result.claims),
            table(
                (
                    "",
                    "floor",
                    "right",
                    "cases",
                    "share [95 % interval]",
                    f"lower bound, {claims.confidence:.0%}",
                    "result",
                ),
                (_claim_row(claim) for claim in result.claims),
            ),
            "<h2>What the model said</h2>",
            table(("cases", *result.claims[0].found), (_found_row(claim) for claim in result.claims)),
            f"<p>Referred cases are counted as {claims.referred.value}, failed cases as {claims.failed.value}. "
            f"{escape(protocol.case_rule)}</p>",
            *(
                []
                if not result.rejected
                else ["<h2>Rejected images</h2>", table(("error", "images"), result.rejected.items())]
            ),
            *([] if not result.subgroups else ["<h2>Subgroups, for information</h2>", _subgroups(report)]),
            "<h2>Protocol</h2>",
            _protocol(report),
            f"<p>{escape(report.notice)}</p>",
        ],
    )


def _protocol(report: AcceptanceReport) -> str:
    """Return the table of what was fixed, with what, and where."""
    protocol, machine = report.protocol, report.certificate.machine
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    rows = (
        ("protocol, SHA-256", f"<code>{report.protocol_sha256}</code>"),
        ("cases, SHA-256", f"<code>{protocol.cases}</code>"),
        ("answers, SHA-256", f"<code>{report.answers_sha256}</code>"),
        ("bundle, SHA-256", f"<code>{protocol.bundle}</code>"),
        ("contract", f"<code>{protocol.contract}</code>"),
        ("cut-off, confidence floor", f"{protocol.cutoff:g}, {protocol.confidence_floor:g}"),
        ("cases", f"{protocol.positive_cases} positive, {protocol.negative_cases} negative"),
        ("images", f"{protocol.images}"),
        ("software", escape(f"{report.software}, Python {machine.python}, {versions}")),
        ("interpreter", escape(f"{protocol.backend}, {protocol.precision}")),
        ("device", escape(f"{machine.processor} ({machine.architecture}), {machine.system}")),
        ("self-test", f"passed, {escape(report.certificate.date)}"),
        ("date", escape(report.date)),
    )
    return table((), rows)


def _claim_row(claim: Claim) -> tuple[str, ...]:
    finding = "for information" if claim.finding is None else claim.finding.value
    return (
        claim.name,
        "–" if claim.floor is None else f"{claim.floor:g}",
        str(claim.share.right),
        str(claim.share.cases),
        _share(claim.share),
        f"{claim.lower:.3f}",
        f'<span class="{_CLASS[claim.finding]}">{finding}</span>',
    )


def _found_row(claim: Claim) -> tuple[str, ...]:
    kind = "positive" if claim.name == "sensitivity" else "negative"
    return (kind, *(str(count) for count in claim.found.values()))


def _subgroups(report: AcceptanceReport) -> str:
    rows = (
        (
            escape(f"{group.group}: {group.value or chr(8211)}"),
            str(group.sensitivity.cases),
            _share(group.sensitivity),
            str(group.specificity.cases),
            _share(group.specificity),
        )
        for group in report.result.subgroups
    )
    return table(("subgroup", "positive cases", "sensitivity", "negative cases", "specificity"), rows)


def _share(share: Share) -> str:
    return "–" if share.value is None else f"{share.value:.3f} [{share.low:.3f}, {share.high:.3f}]"


def _drawn(claim: Claim) -> str:
    """Draw the interval of a figure, its lower bound and its floor on a line from 0 to 1."""
    share = claim.share
    if share.value is None:
        return ""
    floor = ""
    if claim.floor is not None:
        x = _at(claim.floor)
        floor = (
            f'<line x1="{x}" x2="{x}" y1="4" y2="30" stroke="var(--bad)" stroke-dasharray="3 2"/>'
            f'<text x="{x}" y="46" text-anchor="middle">floor {claim.floor:g}</text>'
        )
    label = f"{claim.name} {share.value:.3f}, 95 % interval {share.low:.3f} to {share.high:.3f}"
    return (
        f'<figure><figcaption>{escape(label)}</figcaption><svg viewBox="0 0 {_WIDTH} 50" role="img" '
        f'aria-label="{escape(label)}"><line x1="10" x2="{_WIDTH - 10}" y1="17" y2="17" stroke="var(--line)"/>'
        f'<line x1="{_at(share.low)}" x2="{_at(share.high)}" y1="17" y2="17" stroke="var(--ink)" stroke-width="4"/>'
        f'<circle cx="{_at(share.value)}" cy="17" r="6" fill="var(--ink)"/>{floor}</svg></figure>'
    )


def _at(value: float) -> float:
    """Return the x coordinate of a share (0..1)."""
    return round(10 + (_WIDTH - 20) * value, 1)
