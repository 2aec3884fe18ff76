"""The page an archivist reads in the morning: ``report.html`` in the output folder (docs/report.md)."""

from __future__ import annotations

from pipeline.archive.report.write import REPORT, write_report

__all__ = ["REPORT", "write_report"]
