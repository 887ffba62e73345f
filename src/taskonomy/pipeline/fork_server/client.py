"""The `python` of the stages of a run: the warm process takes the command over (see `warm`), and this program waits for it as if it were the stage.

Only what Python itself brings is imported here, and little of that: it is started for every stage.
"""

import json
import os
import signal
import socket
import sys
from contextlib import suppress

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(real: str, address: str, arguments: list[str]) -> int:
    """Run `python ARGUMENTS`; returns its exit status.

    Args:
        real: The interpreter, for all that the warm process does not take.
        address: Where that listens.
        arguments: Of the command.
    """
    status = _handed_over(address, arguments) if arguments and arguments[0].endswith(".py") else None
    if status is None:
        os.execv(real, [real, *arguments])  # noqa: S606  # what the command asks for, as it is
    if status < 0:  # by a signal, and so do we
        with suppress(OSError):  # SIGKILL cannot be set
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    return status


def _handed_over(address: str, arguments: list[str]) -> int | None:
    """How the stage ended: its exit status, or less than 0, the signal that ended it; None: it is not taken."""
    request = {"arguments": arguments, "environment": dict(os.environ), "folder": os.getcwd(), "group": os.getpgid(0)}
    before = {number: signal.signal(number, signal.SIG_IGN) for number in STOPS}  # the stage is in our group: that is told, and we wait for it
    stage, status = "", ""
    with suppress(OSError), socket.socket(socket.AF_UNIX) as warm:  # it is still loading, or was killed
        warm.connect(address)
        socket.send_fds(warm, [b"?"], [0, 1, 2])
        warm.sendall(json.dumps(request).encode() + b"\n")
        with warm.makefile() as answer:
            stage, status = answer.readline(), answer.readline()
    if stage and not status:
        with suppress(ProcessLookupError):
            os.kill(int(stage), signal.SIGKILL)
        print("error: the process that runs the stages of this run was killed", file=sys.stderr)
        return 1
    if not stage:
        for number, handler in before.items():
            signal.signal(number, handler)
    return int(status) if status else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
