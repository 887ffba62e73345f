"""Stand in for the `python` of a run's stages: the fork server (see `daemon`) runs the command, and this program waits for its end.

It imports little, and only from the standard library, because it is started for every stage.
"""

import json
import os
import signal
import socket
import sys
from contextlib import suppress

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(real: str, address: str, arguments: list[str]) -> int:
    """Run `python ARGUMENTS` and return its exit status.

    Args:
        real: The interpreter, for commands that the fork server does not run.
        address: Socket of the fork server.
        arguments: Arguments of the command.
    """
    status = _handed_over(address, arguments) if arguments and arguments[0].endswith(".py") else None
    if status is None:
        os.execv(real, [real, *arguments])  # noqa: S606  # the command's own arguments, unchanged
    if status < 0:  # the stage was ended by a signal: end this process by the same one
        with suppress(OSError):  # the handler of SIGKILL cannot be set
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    return status


def _handed_over(address: str, arguments: list[str]) -> int | None:
    """Run the command on the fork server and return its exit status, or minus the signal that ended it; None: the fork server does not run it."""
    request = {"arguments": arguments, "environment": dict(os.environ), "folder": os.getcwd(), "group": os.getpgid(0)}
    before = {number: signal.signal(number, signal.SIG_IGN) for number in STOPS}  # the stage is in this process group and gets them itself
    stage, status = "", ""
    with suppress(OSError), socket.socket(socket.AF_UNIX) as server:  # the fork server is still loading, or was killed
        server.connect(address)
        socket.send_fds(server, [b"?"], [0, 1, 2])
        server.sendall(json.dumps(request).encode() + b"\n")
        with server.makefile() as answer:
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
