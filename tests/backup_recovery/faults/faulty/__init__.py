"""A harness that lets one file-system call of a backup, a restore or a removal go wrong, each call in its turn.

A warm parent forks a child for each point. In the child every function by which Python reaches the file system (`os`,
`open`, `fcntl`, `syncfs` through `ctypes`, the steps of SQLite's online backup) is replaced by one that counts, and at
call number N does what the fault says: `SIGKILL` to itself before the call, after it or, for a write, in the middle; an
error; a short write; Ctrl-C; or a power cut, which is `SIGKILL` after everything that was written and not synced has
been emptied. The parent then judges what is left, runs whatever is next, and judges again.

Why so, and not by `strace -e inject` or a shim that is preloaded: a fork with a look at a counter takes milliseconds
where a tracer takes a tenth of a second, so many calls can have their turn in `make test` and all in `make nightly`; it
needs no compiler, no right to trace and no package; and it can stop in the middle of a write. What it cannot see are
the calls that C code makes by itself, which are those of SQLite while it fills a copy in the staging folder. That
nothing else slips through is proven by Python's audit events in each `make test` and by strace in `make nightly`.

By hand: `PYTHONPATH=tests/backup_recovery/faults python -m faulty restore kill=1 error=1 --threads`.
"""
