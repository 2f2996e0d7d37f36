# SPDX-License-Identifier: Apache-2.0
"""A scripted HTTP/2 origin, with Python's h2 underneath and its checks of what is sent switched
off: what it answers to a path is a function that reads like a sequence of frames. Every request,
reset and end of a connection is kept."""

import socket
import threading

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
import hyperframe.frame

from harness.message import Fields
from .stage import Stage

CODES = h2.errors.ErrorCodes
SETTINGS = h2.settings.SettingCodes


class Gone(Exception):
    """The stream or the connection ended before the script did."""


class Request:
    """One request as it arrived. `complete` once its end has come, `code` when it was reset."""

    def __init__(self, stream, fields, connection):
        self.stream = stream
        self.fields = Fields((name.decode(), value.decode("latin-1")) for name, value in fields)
        self.method = self.fields.get(":method")
        self.path = (self.fields.get(":path") or "").split("?")[0]
        self.connection = connection
        self.body = bytearray()
        self.trailers = Fields()
        self.complete = False
        self.code = None

    def __repr__(self):
        return f"<{self.method} {self.path} on {self.connection.number}/{self.stream}>"


class Connection:
    """One accepted connection. `end` is None while open, then "eof", "reset" or "origin"."""

    def __init__(self, number, sock):
        self.number = number
        self.sock = sock
        self.requests = []
        self.end = None
        self.goaway = None  # what Weir said with GOAWAY
        self.news = threading.Condition(threading.RLock())
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=False, header_encoding=None, validate_outbound_headers=False,
            normalize_outbound_headers=False))

    def flush(self):
        """With `news` held."""
        data = self.h2.data_to_send()
        if data:
            try:
                self.sock.sendall(data)
            except OSError as error:
                raise Gone(repr(error)) from error


class Exchange:
    """What a script works with."""

    def __init__(self, origin, request):
        self.origin = origin
        self.request = request
        self.connection = request.connection

    def _do(self, function, *arguments, **options):
        with self.connection.news:
            try:
                function(*arguments, **options)
            except (h2.exceptions.ProtocolError, KeyError) as error:
                raise Gone(repr(error)) from error
            self.connection.flush()
            self.connection.news.notify_all()

    def head(self, status=200, *fields, end=False):
        """A head, interim or not; `status` None leaves it out."""
        first = [] if status is None else [(":status", str(status))]
        self._do(self.connection.h2.send_headers, self.request.stream, first + list(fields), end)

    def trailers(self, *fields):
        self._do(self.connection.h2.send_headers, self.request.stream, list(fields), True)

    def data(self, data, end=False):
        """Sends within the windows; waits for them."""
        codec, stream, at = self.connection.h2, self.request.stream, 0
        while at < len(data) or end:
            with self.connection.news:
                self._await(lambda: at == len(data)
                            or codec.local_flow_control_window(stream) > 0, 60)
                room = codec.local_flow_control_window(stream) if at < len(data) else 0
                piece = data[at:at + min(room, codec.max_outbound_frame_size)]
                at += len(piece)
                last = end and at == len(data)
                self._do(codec.send_data, stream, bytes(piece), last)
                if last:
                    return

    def text(self, body, status=200, *fields):
        data = body.encode() if isinstance(body, str) else body
        self.head(status, ("content-length", str(len(data))), *fields, end=not data)
        if data:
            self.data(data, True)

    def frame(self, frame):
        """Exactly this frame of hyperframe, past all state."""
        self.raw(frame.serialize())

    def raw(self, data):
        with self.connection.news:
            self.connection.flush()
            try:
                self.connection.sock.sendall(data)
            except OSError as error:
                raise Gone(repr(error)) from error

    def fields(self, *fields):
        """A head encoded for this connection, to be put into frames by hand."""
        return self.connection.h2.encoder.encode(list(fields))

    def reset(self, code=CODES.INTERNAL_ERROR):
        self._do(self.connection.h2.reset_stream, self.request.stream, code)

    def goaway(self, last, code=CODES.NO_ERROR):
        """GOAWAY after which the connection's streams go on."""
        frame = hyperframe.frame.GoAwayFrame(0, last_stream_id=last, error_code=code)
        self.frame(frame)

    def set(self, **settings):
        """SETTINGS, by name."""
        values = {SETTINGS[name]: value for name, value in settings.items()}
        self._do(self.connection.h2.update_settings, values)

    def body(self):
        """Waits for the end of the request."""
        with self.connection.news:
            self._await(lambda: self.request.complete, 60)
        return bytes(self.request.body)

    def received(self, size):
        """Waits until so many bytes of the body have come."""
        with self.connection.news:
            self._await(lambda: len(self.request.body) >= size, 60)
        return bytes(self.request.body)

    def _await(self, condition, within):
        request, connection = self.request, self.connection
        connection.news.wait_for(
            lambda: condition() or request.code is not None or connection.end, within)
        if not condition():
            raise Gone(f"{request}: reset {request.code}, connection {connection.end}")

    def await_reset(self):
        """Waits until Weir resets this stream; the code."""
        with self.connection.news:
            self.connection.news.wait_for(
                lambda: self.request.code is not None or self.connection.end, 60)
        return self.request.code

    def wait(self, gate):
        assert self.origin.gate(gate).wait(60), f"gate {gate} was never opened"

    def reached(self, gate):
        self.origin.gate(gate).set()

    def die(self):
        """The connection ends with RST."""
        self.connection.end = "origin"
        sock = self.connection.sock
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        sock.shutdown(socket.SHUT_RD)  # its reader wakes and closes it

    def leave(self):
        """The connection ends in order, behind what was sent."""
        self.connection.end = "origin"
        self.connection.sock.shutdown(socket.SHUT_WR)


def hello(x):
    x.body()
    x.text("hello\n")


class H2Origin(Stage):
    """Listens on 127.0.0.1. `settings` are sent first; `credit` False gives no windows back."""

    def __init__(self, script=hello, name="origin", settings=None, credit=True, greet=True):
        super().__init__(name, script)
        self.settings = settings or {}
        self.credit = credit
        self.greet = greet  # with SETTINGS, at once
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.port = self.listener.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()

    def end(self):
        self.stop()
        for gate in list(self._gates.values()):
            gate.set()
        for connection in self.connections:
            try:
                connection.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    # --- serving ---------------------------------------------------------------------------------

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                connection = Connection(len(self.connections), sock)
                self.connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        codec = connection.h2
        end = "eof"
        try:
            with connection.news:
                values = {SETTINGS[name]: value for name, value in self.settings.items()}
                codec.local_settings = h2.settings.Settings(client=False, initial_values={
                    SETTINGS.MAX_CONCURRENT_STREAMS: 1000, **values})
                codec.initiate_connection()
                if self.greet:
                    connection.flush()
            while data := connection.sock.recv(1 << 18):
                with connection.news:
                    for event in codec.receive_data(data):
                        self._event(connection, event)
                    connection.flush()
                    connection.news.notify_all()
        except OSError as error:
            end = "reset" if isinstance(error, ConnectionError) else "origin"
        except Gone:
            end = "reset"
        except Exception as error:  # shown by the test that fails because of it
            self.faults.append(repr(error))
            end = "fault"
        with connection.news:
            connection.end = connection.end or end
            connection.sock.close()
            connection.news.notify_all()

    def _event(self, connection, event):
        stream = getattr(event, "stream_id", None)
        request = next((r for r in connection.requests if r.stream == stream), None)
        if isinstance(event, h2.events.RequestReceived):
            request = Request(stream, event.headers, connection)
            with self._lock:
                connection.requests.append(request)
                self.requests.append(request)
            threading.Thread(target=self._script, args=(request,), daemon=True).start()
        elif isinstance(event, h2.events.DataReceived):
            request.body += event.data
            if self.credit and event.flow_controlled_length:
                connection.h2.increment_flow_control_window(event.flow_controlled_length)
                if connection.h2.streams.get(stream) and not connection.h2.streams[stream].closed:
                    connection.h2.increment_flow_control_window(event.flow_controlled_length,
                                                                stream)
        elif isinstance(event, h2.events.TrailersReceived):
            request.trailers = Fields((name.decode(), value.decode("latin-1"))
                                      for name, value in event.headers)
        elif isinstance(event, h2.events.StreamEnded):
            request.complete = True
        elif isinstance(event, h2.events.StreamReset) and request is not None:
            request.code = event.error_code
        elif isinstance(event, h2.events.ConnectionTerminated):
            connection.goaway = event.error_code

    def _script(self, request):
        try:
            self.scripts.get(request.path, self.default)(Exchange(self, request))
        except Gone:
            pass
        except Exception as error:  # shown by the test that fails because of it
            self.faults.append(repr(error))
