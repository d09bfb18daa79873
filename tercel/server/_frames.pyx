# cython: language_level=3, boundscheck=False, wraparound=False, embedsignature=False, freethreading_compatible=False
"""The usual frame of a WebSocket, in C: a whole text or binary message that arrives, and one that is sent; and the wait between them.

Optional: `tercel.server.frames` puts these in front of picows, which gets every frame that is not plainly usual (a fragment, a control
frame, a compressed, unmasked, too long, cut or malformed one), whole and in its turn, before anything was changed. So nothing is
accepted here that picows does not accept. A task that waits for the message goes on at once, in the read callback. Read
`docs/design/0015-usual-frames.md` for the reasons, `tercel.server.websocket` for the rules.
"""

cimport cython
from cpython.bytearray cimport PyByteArray_AS_STRING
from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint64_t
from libc.string cimport memcpy

import asyncio
import contextvars
from asyncio import CancelledError, current_task
from asyncio.tasks import _enter_task as enter_task, _leave_task as leave_task

from starlette.websockets import WebSocket, WebSocketState

cdef extern from *:
    """
    #include <stdint.h>
    #include <structmember.h> /* which Python.h brings since 3.12 */

    enum { RETURNED = 1, RAISED = 2, KEPT_MAX = 4096 };

    typedef PyObject *(*tercel_step)(PyObject *step, int *ended);
    static tercel_step tercel_steps[3];

    static void tercel_raise(PyObject *error) { /* steals it */
    #if PY_VERSION_HEX >= 0x030C0000
        PyErr_SetRaisedException(error);
    #else
        Py_INCREF(Py_TYPE(error));
        PyErr_Restore((PyObject *) Py_TYPE(error), error, PyException_GetTraceback(error));
    #endif
    }

    static PyObject *tercel_take_raised(void) {
    #if PY_VERSION_HEX >= 0x030C0000
        return PyErr_GetRaisedException();
    #else
        PyObject *type, *error, *trace;
        PyErr_Fetch(&type, &error, &trace);
        PyErr_NormalizeException(&type, &error, &trace);
        if (trace != NULL) PyException_SetTraceback(error, trace);
        Py_XDECREF(trace);
        Py_XDECREF(type);
        return error;
    #endif
    }

    /* The end of an iteration, with a value. The exception is used again and again, unless somebody has kept it: making one costs
       more than the message. */
    static void tercel_stop(PyObject *value) { /* steals it */
        static PyObject *stop = NULL;
        Py_ssize_t size = PyUnicode_CheckExact(value) ? PyUnicode_GET_LENGTH(value) : PyBytes_CheckExact(value) ? PyBytes_GET_SIZE(value) : KEPT_MAX;
        if (size >= KEPT_MAX) { /* it would be kept alive */
            PyErr_SetObject(PyExc_StopIteration, value);
            Py_DECREF(value);
            return;
        }
        if (stop == NULL || Py_REFCNT(stop) != 1) {
            PyObject *made = PyObject_CallNoArgs(PyExc_StopIteration);
            if (made == NULL) {
                Py_DECREF(value);
                return;
            }
            Py_XSETREF(stop, made);
        }
        Py_XSETREF(((PyStopIterationObject *) stop)->value, value);
        Py_INCREF(stop);
        tercel_raise(stop);
    }

    /* What `await` calls, without the traceback that Cython would make for each end: nothing is raised for None, as C may do. */
    static PyObject *tercel_next(tercel_step function, PyObject *step) {
        int ended = 0;
        PyObject *value = function(step, &ended);
        if (value == NULL || !ended) return value;
        if (ended == RAISED) {
            tercel_raise(value);
        } else if (value == Py_None) {
            Py_DECREF(value);
        } else {
            tercel_stop(value);
        }
        return NULL;
    }
    static PyObject *tercel_next_first(PyObject *step) { return tercel_next(tercel_steps[0], step); }
    static PyObject *tercel_next_second(PyObject *step) { return tercel_next(tercel_steps[1], step); }
    static PyObject *tercel_next_third(PyObject *step) { return tercel_next(tercel_steps[2], step); }

    /* Makes a function what `await` calls of a type: of three types, one after the other. */
    static void tercel_set_next(PyObject *type, tercel_step function) {
        static const iternextfunc functions[3] = {tercel_next_first, tercel_next_second, tercel_next_third};
        int place = 0;
        while (tercel_steps[place] != NULL) place++;
        tercel_steps[place] = function;
        ((PyTypeObject *) type)->tp_iternext = functions[place];
        PyType_Modified((PyTypeObject *) type);
    }

    /* Where the objects of a class keep the attribute of one of its `__slots__`; -1 if it is none. */
    static Py_ssize_t tercel_place(PyObject *type, const char *name) {
        PyObject *found = PyObject_GetAttrString(type, name);
        if (found == NULL) return -1;
        Py_ssize_t place = -1;
        if (Py_TYPE(found) == &PyMemberDescr_Type) place = ((PyMemberDescrObject *) found)->d_member->offset;
        else PyErr_Format(PyExc_TypeError, "%s is no slot", name);
        Py_DECREF(found);
        return place;
    }
    #define tercel_slot(object, place) (*(PyObject **) ((char *) (object) + (place)))

    #ifndef _WIN32
    #include <errno.h>
    #include <sys/socket.h>
    #endif
    #ifdef __linux__
    #include <sys/epoll.h>
    #include <unistd.h>
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

    /* What was read; 0 at the end, -1 where nothing is there now, -2 after an error. */
    static Py_ssize_t tercel_receive(int descriptor, char *data, Py_ssize_t size) {
    #ifdef _WIN32
        return -2;
    #else
        Py_ssize_t got = recv(descriptor, data, (size_t) size, MSG_DONTWAIT);
        return got >= 0 ? got : errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? -1 : -2;
    #endif
    }

    /* Those who have something to read. Where there is no epoll, nothing can be made. */
    enum { READY_MAX = 64 };
    #ifdef __linux__
    static int tercel_poll_make(void) { return epoll_create1(EPOLL_CLOEXEC); }
    static void tercel_poll_end(int poll) { close(poll); }
    static int tercel_poll_add(int poll, int descriptor, uint64_t mark) {
        struct epoll_event event;
        event.events = EPOLLIN;
        event.data.u64 = mark;
        return epoll_ctl(poll, EPOLL_CTL_ADD, descriptor, &event);
    }
    static void tercel_poll_remove(int poll, int descriptor) {
        struct epoll_event event;
        epoll_ctl(poll, EPOLL_CTL_DEL, descriptor, &event);
    }
    static int tercel_poll_look(int poll, uint64_t *marks, char *broken) {
        struct epoll_event events[READY_MAX];
        int count = epoll_wait(poll, events, READY_MAX, 0);
        for (int place = 0; place < count; place++) {
            marks[place] = events[place].data.u64;
            broken[place] = (events[place].events & (EPOLLERR | EPOLLHUP)) != 0;
        }
        return count;
    }
    #else
    static int tercel_poll_make(void) { return -1; }
    static void tercel_poll_end(int poll) {}
    static int tercel_poll_add(int poll, int descriptor, uint64_t mark) { return -1; }
    static void tercel_poll_remove(int poll, int descriptor) {}
    static int tercel_poll_look(int poll, uint64_t *marks, char *broken) { return -1; }
    #endif
    """
    enum:
        RETURNED
        RAISED
        READY_MAX
    ctypedef object (*tercel_step)(object step, int *ended)
    object tercel_take_raised()
    Py_ssize_t tercel_place(object type, const char *name) except -1
    PyObject *tercel_slot(object of, Py_ssize_t place)
    Py_ssize_t tercel_receive(int descriptor, char *data, Py_ssize_t size)
    int tercel_poll_make()
    void tercel_poll_end(int poll)
    int tercel_poll_add(int poll, int descriptor, uint64_t mark)
    void tercel_poll_remove(int poll, int descriptor)
    int tercel_poll_look(int poll, uint64_t *marks, char *broken)
    void tercel_set_next(object type, tercel_step function)
    void tercel_unmask(char *data, Py_ssize_t size, const char *mask) nogil
    Py_ssize_t tercel_send(int descriptor, const char *data, Py_ssize_t size) nogil

cdef extern from "Python.h":
    enum:
        PYGEN_RETURN
        PYGEN_ERROR
        PYGEN_NEXT
    int PyIter_Send(object iterator, object value, PyObject **result)
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
    NOTHING = 2  # none of the kinds of `PyIter_Send`
    SEND_MAX_BYTES = 8192  # a longer message is picows' to send, without a copy
    TEXT = 0x81  # RFC 6455 section 5.2: the last frame of its message, no reserved bit, opcode 1
    BINARY = 0x82
    HEADER_MAX_BYTES = 14

cdef uint64_t ALL = <uint64_t> -1

include "_waiting.pxi"


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


# Where a session keeps two of its attributes.
cdef Py_ssize_t state_place = 0
cdef Py_ssize_t awaits_pong_place = 0
cdef object OPEN_STATE = OPEN


cdef class Gate:
    """See `_frames.pyi`."""

    cdef object session, reader, queue, transport, get_size
    cdef object inner, inner_get_buffer, inner_updated
    cdef Receivers receivers
    cdef Hub hub
    cdef object message  # for a `Receiving` that is about to go on
    cdef char[HEADER_MAX_BYTES] stash
    cdef Py_ssize_t stashed  # bytes of a header that has not come whole
    cdef uint64_t left  # bytes that picows still has to get of the frame it has begun
    cdef Py_ssize_t max_bytes
    cdef int descriptor
    cdef bint plain  # messages are sent without compression
    cdef public bint queues  # the transport may have something to send
    cdef bint full  # the peer takes nothing now
    cdef bint joined  # the hub reads, not the transport
    cdef bint listens  # and does so now
    cdef uint64_t mark  # of what the hub waits for
    cdef readonly uint64_t received_bytes

    def __init__(self, session, inner, Hub hub, Py_ssize_t max_bytes, int descriptor):
        global state_place, awaits_pong_place
        self.session = session
        self.reader = session._reader
        self.queue = session._queue
        self.receivers = session._receivers
        self.transport = session.transport
        self.get_size = session.transport.get_write_buffer_size
        self.inner = inner
        self.inner_get_buffer = inner.get_buffer
        self.inner_updated = inner.buffer_updated
        self.hub = hub
        self.max_bytes = max_bytes
        self.descriptor = descriptor
        self.plain = session._deflate is None
        self.full = session.write_paused
        self.queues = True
        if state_place == 0:
            awaits_pong_place = tercel_place(type(session), "_awaits_pong")
            state_place = tercel_place(type(session), "_state")

    # What an event loop calls.

    def connection_lost(self, exc):
        self.leave()
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
            memcpy(self.hub.data, self.stash, self.stashed)
            return self.hub.view[self.stashed:]
        return self.hub.view

    def buffer_updated(self, Py_ssize_t nbytes):
        self.take_in(nbytes)

    cdef int take_in(self, Py_ssize_t nbytes) except -1:
        cdef Py_ssize_t size = nbytes + self.stashed
        cdef bint stepped
        self.received_bytes += nbytes
        if self.left:
            if self.left != ALL:
                self.left -= nbytes
            self.inner_updated(nbytes)
            return 0
        self.stashed = 0
        if self.read_frames(self.hub.data, size):
            # The last thing to do: user code may run before this returns.
            if self.message is None:
                self.receivers.arrived()
                return 0
            stepped = self.receivers.parked.step()
            if self.message is not None:
                self.enqueue_message()
            if not stepped:
                self.receivers.wake()
        return 0

    cdef Py_ssize_t read(self) except -3:
        """Take what the socket has; what is returned is that of `tercel_receive`."""
        cdef Py_buffer buffer
        cdef Py_ssize_t got
        if self.left:
            view = self.get_buffer(-1)
            PyObject_GetBuffer(view, &buffer, PyBUF_WRITABLE)
            got = tercel_receive(self.descriptor, <char *> buffer.buf, buffer.len)
            PyBuffer_Release(&buffer)
        else:
            if self.stashed:
                memcpy(self.hub.data, self.stash, self.stashed)
            got = tercel_receive(self.descriptor, self.hub.data + self.stashed, self.hub.room_bytes - self.stashed)
        if got > 0:
            self.take_in(got)
        return got

    cdef int enqueue_message(self) except -1:
        message, self.message = self.message, None
        self.session._queue_bytes = len(message)
        self.queue.append(message)
        return 0

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
            if total <= <uint64_t> size and self.take_usual(at, head, <Py_ssize_t> length, total == <uint64_t> size, &delivered):
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

    cdef bint take_usual(self, unsigned char *at, Py_ssize_t head, Py_ssize_t size, bint last, bint *delivered) except -1:
        """Take a whole masked frame if it is a whole plain message; False, and nothing was done, otherwise."""
        if at[0] != TEXT and at[0] != BINARY:
            return False
        session = self.session
        if tercel_slot(session, state_place) != <PyObject *> OPEN_STATE or self.reader.begun:
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
        if tercel_slot(session, awaits_pong_place) != <PyObject *> False:
            session._awaits_pong = False
        if self.queue:
            session._deliver(message, size)
            return True
        if last and self.receivers.is_ready():
            self.message = message
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
        if self.message is not None:
            message, self.message = self.message, None
            return message
        session = self.session
        if self.queue and not session._reading_paused:
            return self.queue.popleft()
        return session.take_at_once()

    cdef bint sends(self) except -1:
        """Whether a message can be sent without waiting, and as it is."""
        return self.plain and not self.full and tercel_slot(self.session, state_place) == <PyObject *> OPEN_STATE

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
        if self.descriptor >= 0:
            if self.queues:
                self.queues = PyObject_CallNoArgs(self.get_size) != 0
            if not self.queues:
                # Nothing is in front of it. What the system does not take, and every error, is for the transport.
                sent = max(tercel_send(self.descriptor, frame, size), 0)
                if sent == size:
                    return True
        self.queues = True
        self.transport.write(PyBytes_FromStringAndSize(frame + sent, size - sent))
        return True

    # Who reads.

    def join(self):
        if self.descriptor >= 0 and self.hub.add(self):
            self.joined = True
            self.transport.pause_reading()

    cpdef int leave(self) except -1:
        if self.joined:
            self.joined = False
            self.hub.remove(self)
        return 0

    def pause_reading(self):
        if self.joined:
            self.hub.remove(self)
        else:
            self.transport.pause_reading()

    def resume_reading(self):
        if not self.joined or not self.hub.add(self):
            self.joined = False
            self.transport.resume_reading()

    def give_back(self):
        if self.joined:
            listens = self.listens
            self.leave()
            if listens and not self.transport.is_closing():
                self.transport.resume_reading()


include "_hub.pxi"
