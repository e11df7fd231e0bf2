"""Splits by subject, folds, few-shot splits, and the check against leakage."""

from .assign import SPLITS, assign, split_subjects, subject_strata, tied_subjects
from .folds import k_fold, leave_one_dataset_out, leave_one_subject_out
from .leakage import SEEN_FILE, Leak, Seen, SeenRecording, find_leaks, refuse_leaks
from .trials import Windows, few_shot, hold_out, overlap_units, touching

__all__ = [
    "SPLITS",
    "assign",
    "split_subjects",
    "subject_strata",
    "tied_subjects",
    "k_fold",
    "leave_one_subject_out",
    "leave_one_dataset_out",
    "Windows",
    "overlap_units",
    "hold_out",
    "few_shot",
    "touching",
    "SEEN_FILE",
    "Seen",
    "SeenRecording",
    "Leak",
    "find_leaks",
    "refuse_leaks",
]
