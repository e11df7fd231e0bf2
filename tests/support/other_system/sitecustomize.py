"""Makes a Python on Linux lack what Windows lacks: with this folder on PYTHONPATH, also in all child processes."""

import mmap
import os
import signal
import sys

for name in ("fcntl", "resource", "pwd", "grp", "termios", "pty", "tty", "syslog", "readline"):
    sys.modules[name] = None  # an import of it is an ImportError
for name in (
    "fork", "forkpty", "register_at_fork", "getuid", "geteuid", "getgid", "setsid", "killpg", "mkfifo", "memfd_create",
    "sysconf", "chown", "statvfs", "getloadavg", "sched_getaffinity", "O_NOFOLLOW", "O_DIRECTORY", "O_NONBLOCK",
    "O_CLOEXEC", "pread", "preadv", "pwrite", "sendfile", "posix_fadvise",
):  # fmt: skip
    if hasattr(os, name):
        delattr(os, name)
for name in ("SIGUSR1", "SIGUSR2", "SIGALRM", "SIGHUP", "SIGQUIT", "alarm", "setitimer", "pthread_kill"):
    if hasattr(signal, name):
        delattr(signal, name)
for name in ("MAP_PRIVATE", "MAP_SHARED", "MAP_ANONYMOUS", "PROT_READ"):
    if hasattr(mmap, name):
        delattr(mmap, name)

import multiprocessing  # noqa: E402

multiprocessing.set_start_method("spawn")
