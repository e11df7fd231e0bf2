"""Worker processes: one protocol, one watchdog, and a reader that may crash without taking the run with it.

A worker is started anew, never forked (readers start threads). Parent and worker exchange lines of JSON; no pickle, so
no code can travel. What a worker does is a function named on its command line (`eegprep.processes.worker`).
"""

from eegprep.processes.reader import IsolatedReader, isolated_reader

__all__ = ["IsolatedReader", "isolated_reader"]
