# cython: language_level=3, boundscheck=False, wraparound=False, embedsignature=False, freethreading_compatible=False
"""The usual frame of a WebSocket, in C: a whole text or binary message that arrives, and one that is sent; and the wait between them.

Optional: `tercel.server.frames` puts these in front of picows, which gets every frame that is not plainly usual (a fragment, a control
frame, a compressed, unmasked, too long, cut or malformed one), whole and in its turn, before anything was changed. So nothing is
accepted here that picows does not accept. A task that waits for the message goes on at once, in the read callback. Read
`docs/design/0015-usual-frames.md` for the reasons, `tercel.server.websocket` for the rules.
"""

from cpython.bytearray cimport PyByteArray_AS_STRING
from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint64_t
from libc.string cimport memcpy

import asyncio
from asyncio import current_task

from starlette.websockets import WebSocket, WebSocketState

cdef extern from *:
    """
    #include <stdint.h>

    typedef PyObject *(*tercel_step)(PyObject *step, int *ended);
    static tercel_step tercel_steps[2];

    /* The end of an iteration without the traceback that Cython would make for each: nothing is raised for None, as C may do. */
    static PyObject *tercel_next(tercel_step function, PyObject *step) {
        int ended = 0;
        PyObject *value = function(step, &ended);
        if (ended && value != NULL) {
            if (value != Py_None) PyErr_SetObject(PyExc_StopIteration, value);
            Py_DECREF(value);
            return NULL;
        }
        return value;
    }
    static PyObject *tercel_next_first(PyObject *step) { return tercel_next(tercel_steps[0], step); }
    static PyObject *tercel_next_second(PyObject *step) { return tercel_next(tercel_steps[1], step); }

    /* Makes a function what `await` calls of a type: of one type, and then of another. */
    static void tercel_set_next(PyObject *type, tercel_step function) {
        int place = tercel_steps[0] != NULL;
        tercel_steps[place] = function;
        ((PyTypeObject *) type)->tp_iternext = place ? tercel_next_second : tercel_next_first;
        PyType_Modified((PyTypeObject *) type);
    }

    #ifndef _WIN32
    #include <sys/socket.h>
    #endif

    /* RFC 6455 section 5.3; doing it twice undoes it. */
    static void tercel_unmask(char *data, Py_ssize_t size, const char *mask) {
        uint64_t word, wide;
        uint32_t narrow;
        memcpy(&narrow, mask, 4);
        wide = (uint64_t) narrow << 32 | narrow;
        Py_ssize_t place = 0;
        for (; place + 8 <= size; place += 8) {
            memcpy(&word, data + place, 8);
            word ^= wide;
            memcpy(data + place, &word, 8);
        }
        for (; place < size; place++) data[place] ^= mask[place & 3];
    }

    /* Bytes that the system has taken at once; -1 where it takes none now, or is not asked this way. */
    static Py_ssize_t tercel_send(int descriptor, const char *data, Py_ssize_t size) {
    #ifdef _WIN32
        return -1;
    #else
        #ifdef MSG_NOSIGNAL
        return send(descriptor, data, (size_t) size, MSG_NOSIGNAL | MSG_DONTWAIT);
        #else
        return send(descriptor, data, (size_t) size, MSG_DONTWAIT);
        #endif
    #endif
    }
    """
    ctypedef object (*tercel_step)(object step, bint *ended)
    void tercel_set_next(object type, tercel_step function)
    void tercel_unmask(char *data, Py_ssize_t size, const char *mask) nogil
    Py_ssize_t tercel_send(int descriptor, const char *data, Py_ssize_t size) nogil

cdef extern from "Python.h":
    int PyContext_Enter(object context) except -1
    int PyContext_Exit(object context) except -1
    object PyObject_CallOneArg(object callable, object argument)
    object PyObject_CallNoArgs(object callable)
    object PyUnicode_DecodeUTF8(const char *data, Py_ssize_t size, const char *errors)
    bint PyUnicode_IS_COMPACT_ASCII(object text)
    void *PyUnicode_DATA(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)
    object PyUnicode_AsUTF8String(object text)

cdef object CONNECTED = WebSocketState.CONNECTED
cdef object Future = asyncio.Future
cdef object starlette_receive_text = WebSocket.receive_text
cdef object starlette_receive_bytes = WebSocket.receive_bytes
cdef object starlette_send_text = WebSocket.send_text
cdef object starlette_send_bytes = WebSocket.send_bytes

cdef enum:
    OPEN = 2  # the state of a session, as in tercel.server.websocket
    FAILING = 5
    SEND_MAX_BYTES = 8192  # a longer message is picows' to send, without a copy
    TEXT = 0x81  # RFC 6455 section 5.2: the last frame of its message, no reserved bit, opcode 1
    BINARY = 0x82
    HEADER_MAX_BYTES = 14

cdef uint64_t ALL = <uint64_t> -1


def raise_again(error):
    raise error


# -- waiting -------------------------------------------------------------------------------------------------------------------


cdef class Receivers:
    """As `tercel.server.waiting.Waiters`, with `arrived`."""

    cdef object loop
    cdef list futures

    def __init__(self, loop):
        self.loop = loop
        self.futures = []

    cpdef object future(self):
        future = Future(loop=self.loop)
        self.futures.append(future)
        return future

    cpdef object wake(self):
        if self.futures:
            futures, self.futures = self.futures, []
            for future in futures:
                if not future.done():
                    future.set_result(None)

    cpdef object arrived(self):
        """Let the one task that waits go on before this returns; several, or from within a task, in the loop's next turn."""
        if not self.futures:
            return None
        future = self.futures[0]
        callbacks = future._callbacks
        if len(self.futures) != 1 or callbacks is None or len(callbacks) != 1 or current_task(self.loop) is not None:
            return self.wake()
        self.futures.clear()
        callback, context = callbacks[0]
        # Without its callback the future ends without a turn of the loop.
        future.remove_done_callback(callback)
        future.set_result(None)
        try:
            PyContext_Enter(context)
        except RuntimeError:
            # It is the one that is running now.
            self.loop.call_soon(callback, future, context=context)
            return None
        try:
            PyObject_CallOneArg(callback, future)
        except BaseException as error:
            # Only what ends the process comes out of a task's step; the event loop has to see it.
            self.loop.call_soon(raise_again, error)
        finally:
            PyContext_Exit(context)
        return None


cdef class Step:
    """What the methods of a `WebSocket` return: to be awaited once, as a coroutine is, and a coroutine to all who ask.

    Nothing happens before it is awaited. Where the usual way is not possible it goes on as Starlette's coroutine.
    """

    cdef object socket
    cdef object inner
    cdef bint begun
    cdef bint ended

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def send(self, value):
        if self.inner is not None:
            return self.inner.send(value)
        return self.__next__()

    def throw(self, kind, value=None, trace=None):
        if self.inner is not None:
            return self.inner.throw(kind) if value is None and trace is None else self.inner.throw(kind, value, trace)
        self.begun = self.ended = True
        error = kind if isinstance(kind, BaseException) else value
        if not isinstance(error, BaseException):
            error = kind() if error is None else kind(error)
        raise error if trace is None else error.with_traceback(trace)

    def close(self):
        if self.inner is not None:
            self.inner.close()
        self.begun = self.ended = True

    cdef int check(self) except -1:
        if self.ended:
            raise RuntimeError("cannot reuse already awaited coroutine")
        return 0


cdef class Receiving(Step):
    """`receive_text` and `receive_bytes`."""

    cdef object kind
    cdef Gate gate

    def __next__(self):
        return next_of(self, receive)


cdef object receive(object step, bint *ended):
    cdef Receiving self = step
    if self.inner is not None:
        return self.inner.send(None)
    socket = self.socket
    if not self.begun:
        self.begun = True
        if socket.application_state is CONNECTED and socket.client_state is CONNECTED:
            self.gate = socket._session._gate
        if self.gate is None:
            self.inner = (starlette_receive_text if self.kind is str else starlette_receive_bytes)(socket)
            return self.inner.send(None)
    self.check()
    payload = self.gate.take()
    if payload is None:
        future = self.gate.receivers.future()
        future._asyncio_future_blocking = True
        return future
    self.ended = True
    if type(payload) is not self.kind:
        raise socket._other(payload, "text" if self.kind is str else "bytes")
    ended[0] = True
    return payload


cdef class Sending(Step):
    """`send_text` and `send_bytes`."""

    cdef object data
    cdef object kind

    def __next__(self):
        return next_of(self, send)


cdef object send(object step, bint *ended):
    cdef Sending self = step
    cdef Gate gate
    if self.inner is not None:
        return self.inner.send(None)
    self.check()
    self.begun = True
    socket, data = self.socket, self.data
    if type(data) is self.kind and socket.application_state is CONNECTED:
        gate = socket._session._gate
        if gate is not None and gate.sends():
            if gate.send_now(data):
                self.ended = ended[0] = True
                return None
    self.inner = (starlette_send_text if self.kind is str else starlette_send_bytes)(socket, data)
    return self.inner.send(None)


cdef object next_of(object step, tercel_step function):
    """What a call of `__next__` does, which `await` does without one."""
    cdef bint ended = False
    value = function(step, &ended)
    if ended:
        raise StopIteration(value)
    return value


tercel_set_next(Receiving, receive)
tercel_set_next(Sending, send)


def receive_text(self):
    cdef Receiving step = Receiving.__new__(Receiving)
    step.socket, step.kind = self, str
    return step


def receive_bytes(self):
    cdef Receiving step = Receiving.__new__(Receiving)
    step.socket, step.kind = self, bytes
    return step


def send_text(self, data):
    cdef Sending step = Sending.__new__(Sending)
    step.socket, step.data, step.kind = self, data, str
    return step


def send_bytes(self, data):
    cdef Sending step = Sending.__new__(Sending)
    step.socket, step.data, step.kind = self, data, bytes
    return step


# -- frames --------------------------------------------------------------------------------------------------------------------


cdef inline bint is_refused(const unsigned char *at) noexcept:
    """Whether the first two bytes of a frame are a violation by themselves (RFC 6455 sections 5.1, 5.2 and 5.5)."""
    cdef int code = at[0] & 0x0F
    if code >= 8:
        return code > 10 or not at[0] & 0x80 or at[1] & 0x7F > 125 or not at[1] & 0x80
    return code > 2 or not at[1] & 0x80


cdef inline uint64_t read_length(const unsigned char *at, Py_ssize_t head) noexcept:
    """The length of a payload; `ALL` if a shorter form, or none, is the right one for it."""
    cdef uint64_t length = 0
    cdef Py_ssize_t place
    if head == 6:
        return at[1] & 0x7F
    for place in range(2, head - 4):
        length = length << 8 | at[place]
    return ALL if length < (126 if head == 8 else 65536) else length


cdef class Gate:
    """See `_frames.pyi`."""

    cdef object session, reader, queue, transport_write, get_size
    cdef object inner, inner_get_buffer, inner_updated
    cdef Receivers receivers
    cdef object room, view
    cdef char *data
    cdef char[HEADER_MAX_BYTES] stash
    cdef Py_ssize_t stashed  # bytes of a header that has not come whole
    cdef uint64_t left  # bytes that picows still has to get of the frame it has begun
    cdef Py_ssize_t max_bytes
    cdef int descriptor
    cdef bint plain  # messages are sent without compression
    cdef bint full  # the peer takes nothing now
    cdef readonly uint64_t received_bytes

    def __init__(self, session, inner, room, Py_ssize_t max_bytes, int descriptor):
        self.session = session
        self.reader = session._reader
        self.queue = session._queue
        self.receivers = session._receivers
        self.transport_write = session.transport.write
        self.get_size = session.transport.get_write_buffer_size
        self.inner = inner
        self.inner_get_buffer = inner.get_buffer
        self.inner_updated = inner.buffer_updated
        self.room = room
        self.view = memoryview(room)
        self.data = PyByteArray_AS_STRING(room)
        self.max_bytes = max_bytes
        self.descriptor = descriptor
        self.plain = session._deflate is None
        self.full = session.write_paused

    # What an event loop calls.

    def connection_lost(self, exc):
        self.inner.connection_lost(exc)

    def eof_received(self):
        return self.inner.eof_received()

    def pause_writing(self):
        self.full = True
        self.inner.pause_writing()

    def resume_writing(self):
        self.full = False
        self.inner.resume_writing()

    def get_buffer(self, sizehint):
        if self.left:
            view = self.inner_get_buffer(sizehint)
            return view if <uint64_t> len(view) <= self.left else view[:self.left]
        if self.stashed:
            memcpy(self.data, self.stash, self.stashed)
            return self.view[self.stashed:]
        return self.view

    def buffer_updated(self, Py_ssize_t nbytes):
        cdef Py_ssize_t size = nbytes + self.stashed
        self.received_bytes += nbytes
        if self.left:
            if self.left != ALL:
                self.left -= nbytes
            self.inner_updated(nbytes)
            return
        self.stashed = 0
        if self.read_frames(self.data, size):
            # The last thing to do: user code may run before this returns.
            self.receivers.arrived()

    cdef bint read_frames(self, char *data, Py_ssize_t size) except -1:
        """Take what has come, frame by frame; whether somebody who waits has something to take now."""
        cdef bint delivered = False
        cdef unsigned char *at
        cdef Py_ssize_t head
        cdef uint64_t length, total
        while size > 0:
            at = <unsigned char *> data
            if size >= 2:
                length = at[1] & 0x7F
                head = 6 if length < 126 else 8 if length == 126 else HEADER_MAX_BYTES
                if size >= head - 4:
                    length = read_length(at, head)
                if is_refused(at) or (size >= head - 4 and length > <uint64_t> self.max_bytes):
                    # A violation, and picows says so: it gets this and all that comes.
                    self.left = ALL
                    self.hand_over(data, size)
                    return delivered
            if size < 2 or size < head:
                memcpy(self.stash, data, size)
                self.stashed = size
                return delivered
            total = length + head
            if total <= <uint64_t> size and self.take_usual(at, head, <Py_ssize_t> length, &delivered):
                pass
            elif total <= <uint64_t> size:
                self.hand_over(data, <Py_ssize_t> total)
                if self.left:
                    return delivered
            else:
                self.left = total - <uint64_t> size
                self.hand_over(data, size)
                return delivered
            data += total
            size -= <Py_ssize_t> total
        return delivered

    cdef bint take_usual(self, unsigned char *at, Py_ssize_t head, Py_ssize_t size, bint *delivered) except -1:
        """Take a whole masked frame if it is a whole plain message; False, and nothing was done, otherwise."""
        if at[0] != TEXT and at[0] != BINARY:
            return False
        session = self.session
        if session._state != OPEN or self.reader.begun:
            return False
        cdef char *payload = <char *> at + head
        tercel_unmask(payload, size, payload - 4)
        if at[0] == TEXT:
            try:
                message = PyUnicode_DecodeUTF8(payload, size, NULL)
            except UnicodeDecodeError:
                tercel_unmask(payload, size, payload - 4)
                return False
        else:
            message = PyBytes_FromStringAndSize(payload, size)
        session._awaits_pong = False
        if self.queue:
            session._deliver(message, size)
        else:
            session._queue_bytes = size
            self.queue.append(message)
            delivered[0] = True
        return True

    cdef int hand_over(self, char *data, Py_ssize_t size) except -1:
        """Give bytes to picows, which gets all that comes, too, when they are a violation."""
        cdef Py_buffer buffer
        cdef Py_ssize_t piece
        while size > 0:
            view = self.inner_get_buffer(-1)
            PyObject_GetBuffer(view, &buffer, PyBUF_WRITABLE)
            piece = min(size, buffer.len)
            memcpy(buffer.buf, data, piece)
            PyBuffer_Release(&buffer)
            self.inner_updated(piece)
            if self.session._state == FAILING:
                # picows would read on behind the violation.
                self.left = ALL
                return 0
            data += piece
            size -= piece
        return 0

    # What the session and the methods of its WebSocket call.

    cdef object take(self):
        """As the session's `take_at_once`."""
        session = self.session
        if self.queue and not session._reading_paused:
            return self.queue.popleft()
        return session.take_at_once()

    cdef bint sends(self) except -1:
        """Whether a message can be sent without waiting, and as it is."""
        return self.plain and not self.full and self.session._state == OPEN

    cpdef bint send_now(self, data) except -1:
        """See `_frames.pyi`. The connection has to be open, and its peer to take something."""
        cdef char[SEND_MAX_BYTES + 4] frame
        cdef const char *payload
        cdef Py_ssize_t size
        cdef Py_ssize_t head = 2
        cdef Py_ssize_t sent = 0
        if type(data) is str:
            if PyUnicode_IS_COMPACT_ASCII(data):
                payload = <const char *> PyUnicode_DATA(data)
                size = PyUnicode_GET_LENGTH(data)
            else:
                encoded = PyUnicode_AsUTF8String(data)
                payload = PyBytes_AS_STRING(encoded)
                size = PyBytes_GET_SIZE(encoded)
            frame[0] = <char> TEXT
        elif type(data) is bytes:
            payload = PyBytes_AS_STRING(data)
            size = PyBytes_GET_SIZE(data)
            frame[0] = <char> BINARY
        else:
            return False
        if size > SEND_MAX_BYTES:
            return False
        if size < 126:
            frame[1] = <char> size
        else:
            frame[1] = 126
            frame[2] = <char> (size >> 8)
            frame[3] = <char> size
            head = 4
        memcpy(frame + head, payload, size)
        size += head
        if self.descriptor >= 0 and not PyObject_CallNoArgs(self.get_size):
            # Nothing is in front of it. What the system does not take, and every error, is for the transport.
            sent = max(tercel_send(self.descriptor, frame, size), 0)
            if sent == size:
                return True
        self.transport_write(PyBytes_FromStringAndSize(frame + sent, size - sent))
        return True
