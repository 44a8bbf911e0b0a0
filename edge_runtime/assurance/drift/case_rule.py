"""Which images belong to one case: from a list, from the image's name, or each image alone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edge_runtime.errors import DriftCasesError
from edge_runtime.serialisation.csv_file import read_rows

HEADER = "case,image"


class CaseRule(Protocol):
    """Names the case of an image."""

    @property
    def text(self) -> str:
        """The rule as a sentence, for the report."""

    @property
    def warning(self) -> str:
        """What the reader of a result must know; empty if nothing."""

    def case_of(self, image: str) -> str:
        """Return the case of an image, given its path in the results file.

        Raises:
            DriftCasesError: the rule gives no case for it.
        """


@dataclass(frozen=True)
class EachImage:
    """Each image is a case."""

    text: str = "Each image counts as a case."
    warning: str = (
        "Each image counts as a case. If several images of one patient are among them, false alarms are more frequent "
        "than stated: give --cases or --case-pattern."
    )

    def case_of(self, image: str) -> str:
        """Return the image's path."""
        return image


@dataclass(frozen=True)
class NamePattern:
    """The part of the path that a regular expression finds: its first group, or all that it matches."""

    pattern: re.Pattern[str]
    warning: str = ""

    @classmethod
    def of(cls, text: str) -> NamePattern:
        """Compile the pattern.

        Raises:
            DriftCasesError: it is no regular expression.
        """
        try:
            return cls(re.compile(text))
        except re.error as error:
            raise DriftCasesError(
                f"--case-pattern: found {text!r}, which is no regular expression ({error}). Example: '([^/]+)/[^/]+$' "
                "takes the folder of each image.",
            ) from None

    @property
    def text(self) -> str:
        """The rule as a sentence."""
        return f"The case of an image is the part of its path that {self.pattern.pattern!r} finds."

    def case_of(self, image: str) -> str:
        """Return the part of the path."""
        found = self.pattern.search(image)
        name = None if found is None else found[found.re.groups and 1]
        if not name:
            raise DriftCasesError(
                f"--case-pattern: found an image whose path {self.pattern.pattern!r} does not match, expected a case "
                "for each. Correct the pattern.",
            )
        return name


@dataclass(frozen=True)
class CaseList:
    """The cases of a CSV file with the columns ``case`` and ``image``.

    Attributes:
        file: the CSV file.
        cases: path of the image in the list, with ``/`` → case.
    """

    file: Path
    cases: dict[str, str]
    warning: str = ""

    @classmethod
    def read(cls, file: Path) -> CaseList:
        """Read the list; further columns are ignored.

        Raises:
            DriftCasesError: the file is missing or invalid, or an image is in two cases.
        """
        if not file.is_file():
            raise DriftCasesError(
                f"{file}: found no file, expected a CSV file with the columns {HEADER}. Name the list of cases.",
            )
        cases: dict[str, str] = {}
        for row in read_rows(file, [HEADER], DriftCasesError):
            name, case = row.fields["image"].strip().replace("\\", "/"), row.fields["case"].strip()
            if not (name and case) or cases.setdefault(name, case) != case:
                raise DriftCasesError(
                    f"{file}, line {row.line}: found no case, no image, or an image of another case, expected one case "
                    "for each image. Correct the line.",
                )
        return cls(file, cases)

    @property
    def text(self) -> str:
        """The rule as a sentence."""
        return f"The cases are those of {self.file.name}."

    def case_of(self, image: str) -> str:
        """Return the case of the path, or of its longest end that the list has."""
        parts = image.replace("\\", "/").split("/")
        for start in range(len(parts)):
            if (case := self.cases.get("/".join(parts[start:]))) is not None:
                return case
        raise DriftCasesError(
            f"{self.file}: found an image in the results that is in no case of the list, expected all of them. Add it, "
            "or choose the time with --since and --until.",
        )
