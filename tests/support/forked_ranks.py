"""Ranks that start in no time, to be killed: forks of one warm process.

Run with a folder of inputs, one to write to and a scratch folder. Each line
on stdin, "NAME RANKS", forks that many ranks, which extract together; their
process ids are printed. What they tell each other goes through files.
"""

import os
import pathlib
import signal
import sys
import traceback

from ranks_by_files import Rank
from test_kills import extract


def main():
    inputs, output, scratch = map(pathlib.Path, sys.argv[1:])
    # Nobody waits for those that were killed.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        name, ranks = line.split()
        children = []
        for rank in range(int(ranks)):
            child = os.fork()
            if not child:
                try:
                    replicas = Rank(scratch / name, rank, int(ranks))
                    extract(inputs, output, replicas)
                    (scratch / f"{name}-{rank}.done").touch()
                except BaseException:
                    traceback.print_exc()
                finally:
                    os._exit(0)
            children.append(child)
        print(*children, flush=True)


if __name__ == "__main__":
    main()
