"""The quality report: one self-contained HTML page of a store or a shard set."""

from eegprep.report.page import report_page, write_report

__all__ = ["report_page", "write_report"]
