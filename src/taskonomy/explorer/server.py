"""Serve the page: on this machine only, and to its own pages only."""

import socket
import threading
import webbrowser
from urllib.parse import urlsplit

from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from taskonomy.errors import TaskonomyError
from taskonomy.explorer.callbacks import Explorer, build
from taskonomy.explorer.loading import LoadedTable
from taskonomy.explorer.request_checks import guard

HOST = "127.0.0.1"


class _Quiet(WSGIRequestHandler):
    """A handler that logs no requests."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log nothing."""

    def log_error(self, format: str, *args: object) -> None:  # noqa: A002, its name in the library
        """Log nothing: only the client is told of an invalid request."""

    def run_wsgi(self) -> None:
        """Answer the request, unless its address is invalid."""
        try:
            urlsplit(self.path)
        except ValueError:
            self.send_error(400, "no address")
        else:
            super().run_wsgi()


class Server:
    """The server of one table's page. It listens from construction on, and answers while `run` runs.

    Raises:
        TaskonomyError: The port is not available.
    """

    def __init__(self, opened: LoadedTable, port: int) -> None:
        self._socket = _listening(port)
        self.url = f"http://{HOST}:{self._socket.getsockname()[1]}/"
        self._explorer = Explorer(opened)
        self._explorer.begin()
        app = build(self._explorer)
        guard(app, len(opened.tasks))
        # Debugger and reloader belong to app.run(), which is never called.
        self._server: BaseWSGIServer = make_server(HOST, 0, app.server, threaded=True, request_handler=_Quiet, fd=self._socket.fileno())

    def run(self) -> None:
        """Answer requests until interrupted, or until `stop` is called in another thread."""
        self._server.serve_forever()

    def stop(self) -> None:
        """Make `run`, which must be running in another thread, return."""
        self._server.shutdown()

    def close(self) -> None:
        """Release the port, and free every program."""
        self._server.server_close()
        self._socket.close()
        self._explorer.solver.close()


def serve(opened: LoadedTable, port: int, *, browser: bool) -> None:
    """Serve the page until interrupted; print its address, and open it in the user's browser."""
    server = Server(opened, port)
    print(f"{server.url}  ({opened.title}; Ctrl-C ends)", flush=True)
    if browser:
        threading.Thread(target=webbrowser.open, args=(server.url,), daemon=True).start()
    try:
        server.run()
    finally:
        server.close()


def _listening(port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # makes a port available that was closed a moment ago
    try:
        listening.bind((HOST, port))
        listening.listen()
    except OSError as error:
        listening.close()
        raise TaskonomyError(f"--port {port}: {(error.strerror or str(error)).lower()}; --port 0 takes any free one") from None
    return listening
