"""An echo server of Python's eventlet for hixie-75 and hixie-76; it knows no subprotocols in these.

The dialect is what the request says. Prints its port, then serves until it is killed.
"""

import io
import warnings

warnings.simplefilter("ignore")  # eventlet says that it is no longer developed

import eventlet  # noqa: E402
import eventlet.wsgi  # noqa: E402
from eventlet.websocket import WebSocketWSGI  # noqa: E402


@WebSocketWSGI.configured(support_legacy_versions=True)
def echo(socket):
    # None at the end; an empty message is not one.
    while (message := socket.wait()) is not None:
        socket.send(message)


listener = eventlet.listen(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
eventlet.wsgi.server(listener, echo, log=io.StringIO())
