"""Makes a Python on Linux lack what Windows lacks: with this folder on PYTHONPATH, also in all child processes.

The modules are missing for our packages and filelock; psutil and the standard library are those of Linux.
"""

import builtins
import multiprocessing
import os
import signal
import subprocess  # noqa: F401  (before the names that it uses are gone)
import warnings

import psutil  # noqa: F401

ABSENT = {"fcntl", "resource", "pwd", "grp", "termios", "pty", "tty", "syslog", "select", "selectors", "posix"}
OURS = {"eegprep", "eegpt", "_eegpt_cli", "filelock", "__main__"}
true_import = builtins.__import__


def without(name, globals=None, locals=None, fromlist=(), level=0):
    if level == 0 and name in ABSENT and str((globals or {}).get("__name__")).partition(".")[0] in OURS:
        raise ImportError(f"no module named {name!r} on this system", name=name)
    return true_import(name, globals, locals, fromlist, level)


builtins.__import__ = without
warnings.filterwarnings("ignore", message="only soft file lock is available")
for name in (
    "fork", "forkpty", "getuid", "geteuid", "getgid", "setsid", "killpg", "mkfifo", "memfd_create",
    "sysconf", "chown", "statvfs", "getloadavg", "sched_getaffinity", "O_NOFOLLOW", "O_DIRECTORY", "O_NONBLOCK",
    "O_CLOEXEC", "pread", "preadv", "pwrite", "sendfile", "posix_fadvise",
):  # fmt: skip
    if hasattr(os, name):
        delattr(os, name)
for name in ("SIGUSR1", "SIGUSR2", "SIGALRM", "SIGHUP", "SIGQUIT", "alarm", "setitimer", "pthread_kill"):
    if hasattr(signal, name):
        delattr(signal, name)
multiprocessing.set_start_method("spawn")
