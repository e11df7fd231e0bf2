"""Worker processes: one protocol, one watchdog, and a reader that may crash without ending the run.

Workers are spawned, never forked (readers start threads). Parent and worker exchange lines of JSON, never pickles, so
no code is transferred. The command line of a worker names the function to run (`eegprep.processes.worker`).
"""

from eegprep.processes.reader import IsolatedReader, isolated_reader

__all__ = ["IsolatedReader", "isolated_reader"]
