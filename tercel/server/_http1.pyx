# cython: language_level=3, boundscheck=False, wraparound=False, embedsignature=False, freethreading_compatible=False
"""The usual request, in C: one whole head, perhaps with its whole body, parsed, handed to the application and answered.

Optional: `tercel.server.compiled` puts these functions into subclasses of the pure classes, whose slots they read and write. What is
not plainly the usual case is handed to the pure code before anything was changed: cut or pipelined requests, chunked bodies,
upgrades, expectations, `Connection: close`, HTTP/1.0, every error. So nothing is accepted here that is not accepted there, and what
is refused is refused there. Read `docs/design/0012-compiled-protocol.md` for the reasons, `tercel.server.http1` for the rules.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint64_t
from libc.string cimport memchr, memcmp, memcpy

import gc
import sys

include "../http/_slots.pxi"

cdef extern from *:
    """
    static PyObject *tercel_allocate(PyObject *type) {
        return ((PyTypeObject *) type)->tp_alloc((PyTypeObject *) type, 0);
    }

    static PyObject *tercel_new_eager_task(PyObject *task_type, PyObject *coroutine, PyObject *loop, PyObject *names) {
        PyObject *arguments[4] = {NULL, coroutine, loop, Py_True};
        return PyObject_Vectorcall(task_type, arguments + 1, 1 | PY_VECTORCALL_ARGUMENTS_OFFSET, names);
    }
    """
    object tercel_allocate(object type)
    object tercel_new_eager_task(object task_type, object coroutine, object loop, object names)

cdef extern from "Python.h":
    object PyUnicode_DecodeLatin1(const char *data, Py_ssize_t size, const char *errors)
    object PyObject_CallOneArg(object callable, object argument)
    object PyObject_CallNoArgs(object callable)


# -- slots of the pure classes -------------------------------------------------------------------------------------------------

# Offsets in bytes, found once by `bind`; reading a slot is then what it would be in a struct.

cdef struct ConnectionSlots:
    Py_ssize_t ahead, client_closes, config, consuming, discarded, left, paused_by_app, reader, ready, state, trusted, used
    Py_ssize_t client, deadline, exchange, loop, lost, root_path, scheme, server, write, write_paused

cdef struct ExchangeSlots:
    Py_ssize_t connection, end_waiters, fields, head, simple
    Py_ssize_t began, client, finished, keep_alive, method, path, path_params, query_string
    Py_ssize_t raw_path, request_body, root_path, scheme, sent, started, status, stream, view

cdef struct BodySlots:
    Py_ssize_t chunks, limit, source, buffered, complete, received, started, too_large, whole

# What every new object of a class has in common: its slots as a constructor left them. No constructor runs for a request.
cdef struct Template:
    Py_ssize_t count
    Py_ssize_t[64] offsets
    PyObject *values[64]

cdef struct ServerSlots:
    Py_ssize_t access_log, draining, handler, idle_deadline_s, response_count, tail, watches_responses

cdef struct Limits:
    Py_ssize_t head_bytes, target_bytes, fields, body_bytes, body_buffer_bytes

cdef ConnectionSlots C
cdef ExchangeSlots E
cdef BodySlots B
cdef ServerSlots S
cdef Template new_exchange
cdef Template new_body
cdef Py_ssize_t HEAD_WIRE, HEAD_STATUS, READER_BEGUN, DRAINING_BEGUN

cdef object ConnectionClass = None
cdef object ExchangeClass = None
cdef object PureConnection = None
cdef object PureExchange = None
cdef object BodyClass = None
cdef object HeadClass = None
cdef object ReaderClass = None
cdef object DrainingClass = None
cdef type ServerClass = None
cdef object Rejected = None
cdef object check_host = None
cdef object known_hosts = None
cdef object unquote = None
cdef object settle = None
cdef object settle_exit = None
cdef object Task = None
cdef object task_done = None
cdef object task_cancelled = None
cdef object task_exception = None
cdef object pure_data_received = None
cdef object pure_answered = None
cdef object pure_respond = None
cdef object pure_respond_now = None
cdef object pure_json_at_once = None

# The limits of the settings that were used last: a process has one server, tests have many.
cdef object limits_of = None
cdef Limits limits
# The Host field that was seen last, found valid then.
cdef bytes last_host = b""

cdef bint EAGER = sys.version_info >= (3, 12)
cdef tuple TASK_NAMES = ("loop", "eager_start")
cdef Py_ssize_t COPY_MAX_BYTES = 65_536  # as in tercel.server.exchange
# States of a connection, as in tercel.server.http1.
cdef object STATE_HEAD = 0
cdef object STATE_WAITING = 3

cdef object GET = "GET"
cdef object HEAD = "HEAD"
cdef object POST = "POST"
cdef object PUT = "PUT"
cdef object PATCH = "PATCH"
cdef object DELETE = "DELETE"
cdef object OPTIONS = "OPTIONS"
cdef object ZERO = 0


cdef inline object make(object cls, Template *template):
    """A new object with what all of its class have in common."""
    cdef Py_ssize_t index
    cdef PyObject *value
    made = tercel_allocate(cls)
    for index in range(template.count):
        value = template.values[index]
        Py_INCREF(<object> value)
        (<PyObject **> ((<char *> <void *> made) + template.offsets[index]))[0] = value
    return made


cdef inline bint holds(object owner, Py_ssize_t offset, object value) noexcept:
    """Whether a slot holds this very object."""
    return peek(owner, offset) == <PyObject *> value


# -- characters ----------------------------------------------------------------------------------------------------------------

# RFC 9110 §5.6.2: characters of a token, as what they are in lower case; 0 for every other.
cdef unsigned char[256] TOKEN
# RFC 3986 §3.3 and §3.4: what a path and a query consist of, "%" included; 0 for every other. llhttp takes a few more.
cdef unsigned char[256] TARGET


cdef void fill_tables():
    cdef unsigned char character
    for character in b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz":
        TOKEN[character] = character
    for character in b"ABCDEFGHIJKLMNOPQRSTUVWXYZ":
        TOKEN[character] = character + 32
        TARGET[character] = TARGET[character + 32] = 1
    for character in b"0123456789-._~!$&'()*+,;=:@/%":
        TARGET[character] = 1


fill_tables()


cdef inline bint same(const unsigned char *text, const char *lowered, Py_ssize_t size) noexcept nogil:
    """Whether a token is this one, in any case."""
    cdef Py_ssize_t index
    for index in range(size):
        if TOKEN[text[index]] != <unsigned char> lowered[index]:
            return False
    return True


cdef inline const unsigned char *value_end(const unsigned char *at, const unsigned char *end) noexcept nogil:
    """The first byte that is not of a field value (RFC 9110 §5.5: visible, space, tab, obs-text)."""
    cdef uint64_t word = 0
    cdef uint64_t other
    while at < end:
        while end - at >= 8:
            # Eight at a time: none is below 0x20, none is 0x7f.
            memcpy(&word, at, 8)
            other = word ^ 0x7F7F7F7F7F7F7F7FULL
            if ((word - 0x2020202020202020ULL) & ~word | (other - 0x0101010101010101ULL) & ~other) & 0x8080808080808080ULL:
                break
            at += 8
        while at < end and at[0] >= 32 and at[0] != 127:
            at += 1
        if at == end or at[0] != 9:
            return at
        at += 1
    return at


# -- the head ------------------------------------------------------------------------------------------------------------------

cdef struct Parsed:
    PyObject *method
    const unsigned char *target
    const unsigned char *path_end
    const unsigned char *target_end
    const unsigned char *host
    const unsigned char *host_end
    Py_ssize_t head_bytes
    Py_ssize_t body_bytes
    bint encoded  # "%" in the path
    bint forwarded  # a field that a proxy sends


cdef PyObject *parse_method(const unsigned char *text, Py_ssize_t size) noexcept:
    """RFC 9110 §9.1: methods are case-sensitive. NULL for one that is not usual."""
    if size == 3:
        if memcmp(text, b"GET", 3) == 0:
            return <PyObject *> GET
        if memcmp(text, b"PUT", 3) == 0:
            return <PyObject *> PUT
    elif size == 4:
        if memcmp(text, b"POST", 4) == 0:
            return <PyObject *> POST
        if memcmp(text, b"HEAD", 4) == 0:
            return <PyObject *> HEAD
    elif size == 5:
        if memcmp(text, b"PATCH", 5) == 0:
            return <PyObject *> PATCH
    elif size == 6:
        if memcmp(text, b"DELETE", 6) == 0:
            return <PyObject *> DELETE
    elif size == 7:
        if memcmp(text, b"OPTIONS", 7) == 0:
            return <PyObject *> OPTIONS
    return NULL


cdef bint parse_request_line(const unsigned char **position, const unsigned char *end, Parsed *out) noexcept:
    """RFC 9112 §3: one space, origin-form without fragment, one space, HTTP/1.1, CRLF; nothing else passes."""
    cdef const unsigned char *at = position[0]
    cdef const unsigned char *begin = at
    while at < end and at[0] >= 65 and at[0] <= 90 and at - begin < 8:
        at += 1
    out.method = parse_method(begin, at - begin)
    if out.method == NULL or end - at < 2 or at[0] != 32 or at[1] != 47:
        return False
    at += 1
    out.target = at
    out.encoded = False
    while at < end and TARGET[at[0]]:
        if at[0] == 37:
            out.encoded = True
        at += 1
    out.path_end = at
    if at < end and at[0] == 63:
        at += 1
        while at < end and (TARGET[at[0]] or at[0] == 63):
            at += 1
    out.target_end = at
    if end - at < 11 or memcmp(at, b" HTTP/1.1\r\n", 11) != 0:
        return False
    position[0] = at + 11
    return True


cdef bint note_field(
    const unsigned char *name, Py_ssize_t size, const unsigned char *value, const unsigned char *stop, Parsed *out
) noexcept:
    """Look at the fields that decide how a request is read. False for what only the pure code may judge."""
    cdef const unsigned char *at
    cdef Py_ssize_t length
    if size == 4:
        if same(name, b"host", 4):
            if out.host != NULL:
                return False
            out.host = value
            out.host_end = stop
    elif size == 6:
        return not same(name, b"expect", 6)
    elif size == 7:
        return not same(name, b"upgrade", 7)
    elif size == 10:
        if same(name, b"connection", 10):
            at = value
            while at < stop and at[0] == 32:
                at += 1
            return stop - at == 10 and same(at, b"keep-alive", 10)
    elif size == 14:
        if same(name, b"content-length", 14):
            at = value
            while at < stop and at[0] == 32:
                at += 1
            if out.body_bytes >= 0 or at == stop or stop - at > 15:
                return False
            length = 0
            while at < stop:
                if at[0] < 48 or at[0] > 57:
                    return False
                length = length * 10 + at[0] - 48
                at += 1
            out.body_bytes = length
    elif size == 16:
        if same(name, b"proxy-connection", 16):
            return False
    elif size == 17:
        if same(name, b"transfer-encoding", 17):
            return False
    if size >= 9 and (same(name, b"x-forwarded", 11) if size > 11 else size == 9 and same(name, b"forwarded", 9)):
        out.forwarded = True
    return True


cdef bint parse_head(const unsigned char *data, Py_ssize_t size, Parsed *out) noexcept:
    """Read a head from its first byte. False when it is not whole, or not plainly of the usual kind."""
    cdef const unsigned char *at = data
    cdef const unsigned char *end = data + size
    cdef const unsigned char *name
    cdef const unsigned char *value
    cdef Py_ssize_t name_bytes
    cdef Py_ssize_t left = limits.fields
    if not parse_request_line(&at, end, out) or out.target_end - out.target > limits.target_bytes:
        return False
    out.host = NULL
    out.body_bytes = -1
    out.forwarded = False
    while at < end:
        name = at
        while at < end and TOKEN[at[0]]:
            at += 1
        name_bytes = at - name
        if name_bytes == 0:
            # RFC 9112 §2.1: an empty line ends the head.
            if end - at < 2 or at[0] != 13 or at[1] != 10 or out.host == NULL:
                return False
            out.head_bytes = at + 2 - data
            return out.head_bytes <= limits.head_bytes
        # RFC 9112 §5.1: no white space in front of the colon.
        if at == end or at[0] != 58 or left == 0:
            return False
        left -= 1
        value = at + 1
        at = value_end(value, end)
        # RFC 9112 §2.2: a line ends with CRLF, and a bare CR or LF is nothing to be lenient about.
        if end - at < 2 or at[0] != 13 or at[1] != 10 or not note_field(name, name_bytes, value, at, out):
            return False
        at += 2
    return False


cdef void read_limits(object config):
    global limits_of
    limits.head_bytes = config.max_head_bytes
    limits.target_bytes = config.max_target_bytes
    limits.fields = config.max_headers
    limits.body_bytes = -1 if config.max_body_bytes is None else config.max_body_bytes
    limits.body_buffer_bytes = config.body_buffer_bytes
    limits_of = config


cdef bint is_known_host(Parsed *parsed):
    """RFC 9112 §3.2: whether the Host field is valid; the pure code says what is wrong with one that is not."""
    global last_host
    cdef Py_ssize_t size = parsed.host_end - parsed.host
    if size == PyBytes_GET_SIZE(last_host) and memcmp(parsed.host, PyBytes_AS_STRING(last_host), size) == 0:
        return True
    host = PyBytes_FromStringAndSize(<const char *> parsed.host, size)
    if host not in known_hosts:
        try:
            check_host(host)
        except Rejected:
            return False
    last_host = host
    return True


# -- a request, from its bytes to its answer -----------------------------------------------------------------------------------


def data_received(self, data):
    """See `HttpConnection.data_received`."""
    if type(self) is not ConnectionClass or not receive(self, data):
        pure_data_received(self, data)


cdef bint receive(object self, object data) except -1:
    """Take a request of the usual kind. False, and nothing was changed, for anything else."""
    cdef Parsed parsed
    cdef Py_ssize_t size
    if not holds(self, C.state, STATE_HEAD) or not holds(self, C.ahead, None) or type(data) is not bytes:
        return False
    reader = <object> peek(self, C.reader)
    if type(reader) is not ReaderClass or not holds(reader, READER_BEGUN, False):
        return False
    config = <object> peek(self, C.config)
    if config is not limits_of:
        read_limits(config)
    size = PyBytes_GET_SIZE(data)
    if not parse_head(<const unsigned char *> PyBytes_AS_STRING(data), size, &parsed):
        return False
    if parsed.body_bytes <= 0:
        if parsed.head_bytes != size:
            return False
    elif parsed.head_bytes + parsed.body_bytes != size:
        return False
    elif parsed.body_bytes >= limits.body_buffer_bytes or (limits.body_bytes >= 0 and parsed.body_bytes > limits.body_bytes):
        return False
    server = <object> peek(self, C.server)
    if not isinstance(server, ServerClass) or not is_known_host(&parsed):
        return False
    put(self, C.consuming, True)
    try:
        exchange = open_exchange(self, server, data, &parsed)
        launch(self, server, exchange)
    finally:
        put(self, C.consuming, False)
    return True


cdef object open_exchange(object self, object server, bytes data, Parsed *parsed):
    """As `HttpConnection._open_exchange`, `HttpExchange.__init__` and, with a body, `_read_length`."""
    cdef const char *target = <const char *> parsed.target
    cdef Py_ssize_t path_bytes = parsed.path_end - parsed.target
    method = <object> parsed.method
    path = PyUnicode_DecodeLatin1(target, path_bytes, NULL)
    if parsed.encoded:
        path = unquote(path)
    raw_path = PyBytes_FromStringAndSize(target, path_bytes)
    query = b""
    if parsed.path_end != parsed.target_end:
        query = PyBytes_FromStringAndSize(target + path_bytes + 1, parsed.target_end - parsed.path_end - 1)
    root_path = <object> peek(self, C.root_path)
    if root_path:
        path = root_path + path
        raw_path = root_path.encode() + raw_path
    body = None
    head = data
    if parsed.body_bytes > 0:
        head = PyBytes_FromStringAndSize(PyBytes_AS_STRING(data), parsed.head_bytes)
        body = whole_body(self, PyBytes_FromStringAndSize(PyBytes_AS_STRING(data) + parsed.head_bytes, parsed.body_bytes))
        put(self, C.discarded, ZERO)
        put(self, C.left, ZERO)
    draining = <object> peek(server, S.draining)
    keep_alive = not (holds(draining, DRAINING_BEGUN, True) if type(draining) is DrainingClass else draining.begun)
    exchange = make(ExchangeClass, &new_exchange)
    fill(exchange, E.connection, self)
    fill(exchange, E.head, head)
    fill(exchange, E.method, method)
    fill(exchange, E.path, path)
    fill(exchange, E.raw_path, raw_path)
    fill(exchange, E.query_string, query)
    fill(exchange, E.keep_alive, keep_alive)
    fill(exchange, E.request_body, body)
    fill(exchange, E.root_path, root_path)
    fill(exchange, E.client, <object> peek(self, C.client))
    fill(exchange, E.scheme, <object> peek(self, C.scheme))
    fill(exchange, E.path_params, {})
    fill(exchange, E.simple, keep_alive and method is not HEAD)
    put(self, C.state, STATE_WAITING)
    put(self, C.client_closes, False)
    put(self, C.exchange, exchange)
    put(self, C.used, True)
    if not holds(server, S.access_log, None):
        put(exchange, E.began, (<object> peek(self, C.loop)).time())
    if parsed.forwarded and holds(self, C.trusted, True):
        server.forwarded.apply(exchange)
    return exchange


cdef object whole_body(object self, bytes piece):
    """A `RequestBody` all of which has arrived."""
    body = make(BodyClass, &new_body)
    size = PyBytes_GET_SIZE(piece)
    fill(body, B.source, self)
    fill(body, B.limit, None if limits.body_bytes < 0 else limits.body_bytes)
    fill(body, B.chunks, [piece])
    fill(body, B.buffered, size)
    fill(body, B.received, size)
    return body


cdef int launch(object self, object server, object exchange) except -1:
    """As `HttpConnection._launch`."""
    if not EAGER:
        put(self, C.ready, exchange)
        self._launch()
        return 0
    coroutine = PyObject_CallOneArg(<object> peek(server, S.handler), exchange)
    try:
        task = tercel_new_eager_task(Task, coroutine, <object> peek(self, C.loop), TASK_NAMES)
    except SystemExit as error:
        settle_exit(exchange, self, error)
        return 0
    if PyObject_CallOneArg(task_done, task) is not True:
        self.watch(exchange, task)
    elif (
        not holds(exchange, E.finished, True)
        or PyObject_CallOneArg(task_cancelled, task) is True
        or PyObject_CallOneArg(task_exception, task) is not None
    ):
        settle(exchange, self, task)
    else:
        put(exchange, E.view, None)
    return 0


# -- the answer ----------------------------------------------------------------------------------------------------------------


cdef class Answered:
    """What `respond` returns when it is done: awaiting it ends at once, without a coroutine."""

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        raise StopIteration


cdef Answered ANSWERED = Answered()


def respond(self, head, body):
    """See `Exchange.respond`."""
    if type(self) is not ExchangeClass:
        return pure_respond(self, head, body)
    connection = <object> peek(self, E.connection)
    if type(connection) is not ConnectionClass or not holds(connection, C.write_paused, False):
        return pure_respond(self, head, body)
    if not respond_simply(self, connection, head, body):
        pure_respond_now(self, head, body)
    return ANSWERED


def respond_at_once(self, head, body):
    """See `Exchange.respond_at_once`."""
    if type(self) is ExchangeClass:
        connection = <object> peek(self, E.connection)
        if (
            type(connection) is ConnectionClass
            and holds(connection, C.write_paused, False)
            and respond_simply(self, connection, head, body)
        ):
            return True
    if self._connection.write_paused:
        return False
    pure_respond_now(self, head, body)
    return True


def respond_now(self, head, body):
    """See `HttpExchange.respond_now`."""
    if type(self) is ExchangeClass:
        connection = <object> peek(self, E.connection)
        if type(connection) is ConnectionClass and respond_simply(self, connection, head, body):
            return
    pure_respond_now(self, head, body)


cdef bint respond_simply(object self, object connection, object head, object body) except -1:
    """Answer as `HttpExchange.respond_now` does in the usual case. False, and nothing was done, for anything else."""
    cdef Py_ssize_t body_bytes
    if type(head) is not HeadClass or type(body) is not bytes:
        return False
    if not holds(self, E.simple, True) or not holds(self, E.started, False) or not holds(connection, C.lost, False):
        return False
    wire = <object> peek(head, HEAD_WIRE)
    body_bytes = PyBytes_GET_SIZE(body)
    if type(wire) is not bytes or body_bytes > COPY_MAX_BYTES:
        return False
    request_body = <object> peek(self, E.request_body)
    if request_body is not None and (type(request_body) is not BodyClass or not holds(request_body, B.complete, True)):
        return False
    server = <object> peek(connection, C.server)
    tail = <object> peek(server, S.tail)
    if type(tail) is not bytes:
        return False
    data = assemble(wire, tail, body)
    put(self, E.started, True)
    put(self, E.status, <object> peek(head, HEAD_STATUS))
    put(self, E.sent, body_bytes)
    try:
        PyObject_CallOneArg(<object> peek(connection, C.write), data)
    except RuntimeError:
        raise connection.write_failed() from None
    put(self, E.finished, True)
    waiters = <object> peek(self, E.end_waiters)
    if waiters is not None:
        waiters.wake()
    finish(connection, server, self)
    return True


cdef object assemble(bytes wire, bytes tail, bytes body):
    """Status line and fields, the server's own fields, Content-Length, the empty line and the body."""
    cdef char[20] digits
    cdef Py_ssize_t wire_bytes = PyBytes_GET_SIZE(wire)
    cdef Py_ssize_t tail_bytes = PyBytes_GET_SIZE(tail)
    cdef Py_ssize_t body_bytes = PyBytes_GET_SIZE(body)
    cdef Py_ssize_t rest = body_bytes
    cdef int first = 20
    while True:
        first -= 1
        digits[first] = <char> (48 + rest % 10)
        rest //= 10
        if rest == 0:
            break
    data = PyBytes_FromStringAndSize(NULL, wire_bytes + tail_bytes + 16 + (20 - first) + 4 + body_bytes)
    cdef char *at = PyBytes_AS_STRING(data)
    memcpy(at, PyBytes_AS_STRING(wire), wire_bytes)
    at += wire_bytes
    memcpy(at, PyBytes_AS_STRING(tail), tail_bytes)
    at += tail_bytes
    memcpy(at, b"content-length: ", 16)
    at += 16
    memcpy(at, digits + first, 20 - first)
    at += 20 - first
    memcpy(at, b"\r\n\r\n", 4)
    memcpy(at + 4, PyBytes_AS_STRING(body), body_bytes)
    return data


cdef int finish(object connection, object server, object exchange) except -1:
    """As `HttpConnection.answered`; in place when the connection goes on with the next request."""
    if (
        not holds(connection, C.state, STATE_WAITING)
        or not holds(connection, C.consuming, True)
        or not holds(exchange, E.keep_alive, True)
    ):
        pure_answered(connection, exchange)
        return 0
    put(connection, C.exchange, None)
    put(server, S.response_count, <object> peek(server, S.response_count) + 1)
    if not holds(server, S.watches_responses, False):
        server.response_ended(exchange)
        if not holds(connection, C.state, STATE_WAITING):
            return 0
    put(connection, C.state, STATE_HEAD)
    put(connection, C.paused_by_app, False)
    put(connection, C.deadline, <object> peek(server, S.idle_deadline_s))
    return 0


include "_pieces.pxi"


# -- header fields -------------------------------------------------------------------------------------------------------------


def header(self, name):
    """See `Exchange.header`."""
    cdef Value found
    if type(self) is not ExchangeClass or type(name) is not bytes:
        return find_in(self.headers, name)
    fields = <object> peek(self, E.fields)
    if fields is not None:
        return find_in(fields, name)
    if not find_field(<bytes> peek(self, E.head), name, &found):
        return None
    return PyBytes_FromStringAndSize(<const char *> found.at, found.stop - found.at)


def text_of(self, name):
    """See `Exchange.text_of`."""
    cdef Value found
    if type(self) is not ExchangeClass or type(name) is not bytes or not holds(self, E.fields, None):
        value = self.header(name)
        return None if value is None else value.decode("latin-1")
    if not find_field(<bytes> peek(self, E.head), name, &found):
        return None
    return PyUnicode_DecodeLatin1(<const char *> found.at, found.stop - found.at, NULL)


cdef struct Value:
    # A field value in the head, without the white space around it.
    const unsigned char *at
    const unsigned char *stop


cdef bint find_field(bytes head, bytes name, Value *found) noexcept:
    """Look for the first field of a name, which is in lower case."""
    cdef const unsigned char *at = <const unsigned char *> PyBytes_AS_STRING(head)
    cdef const unsigned char *end = at + PyBytes_GET_SIZE(head)
    cdef const unsigned char *wanted = <const unsigned char *> PyBytes_AS_STRING(name)
    cdef const unsigned char *stop
    cdef Py_ssize_t size = PyBytes_GET_SIZE(name)
    cdef Py_ssize_t index
    at = <const unsigned char *> memchr(at, 10, end - at) + 1
    while at[0] != 13:
        stop = <const unsigned char *> memchr(at, 13, end - at)
        if stop - at > size and at[size] == 58:
            index = 0
            while index < size and TOKEN[at[index]] == wanted[index]:
                index += 1
            if index == size:
                found.at = at + size + 1
                found.stop = stop
                strip(found)
                return True
        at = stop + 2
    return False


def json_at_once(self, strict):
    """See `Exchange.json_at_once`."""
    cdef Value said
    if type(self) is not ExchangeClass or not holds(self, E.fields, None):
        return pure_json_at_once(self, strict)
    body = <object> peek(self, E.request_body)
    if type(body) is not BodyClass or not find_field(<bytes> peek(self, E.head), b"content-type", &said):
        return pure_json_at_once(self, strict)
    if said.stop - said.at != 16 or memcmp(said.at, b"application/json", 16) != 0:
        return pure_json_at_once(self, strict)
    raw = take_whole(body)
    if type(raw) is not bytes or PyBytes_GET_SIZE(raw) == 0 or not has_only_json_numbers(raw):
        return None
    return raw


cdef object take_whole(object body):
    """As `RequestBody.take_whole`; in place for a body of one piece that nobody has read yet."""
    chunks = <object> peek(body, B.chunks)
    if (
        not holds(body, B.whole, None)
        or not holds(body, B.complete, True)
        or not holds(body, B.started, False)
        or not holds(body, B.too_large, False)
        or len(<list> chunks) != 1
    ):
        return body.take_whole()
    raw = (<list> chunks)[0]
    put(body, B.started, True)
    put(body, B.whole, raw)
    put(body, B.chunks, [])
    put(body, B.buffered, ZERO)
    return raw


cdef bint has_only_json_numbers(bytes raw) noexcept:
    """As in `tercel.http.body`: neither `NaN` nor `Infinity` is anywhere in it."""
    return not contains(raw, b"NaN", 3) and not contains(raw, b"Infinity", 8)


cdef bint contains(bytes raw, const char *word, Py_ssize_t size) noexcept:
    cdef const char *at = PyBytes_AS_STRING(raw)
    cdef const char *end = at + PyBytes_GET_SIZE(raw)
    while True:
        at = <const char *> memchr(at, word[0], end - at)
        if at == NULL:
            return False
        if end - at >= size and memcmp(at, word, size) == 0:
            return True
        at += 1


cdef object find_in(object fields, object name):
    for key, value in fields:
        if key == name:
            return value
    return None


def read_fields(self):
    """The fields of the head, names in lower case; made when somebody asks, and then kept."""
    cdef const unsigned char *at
    cdef const unsigned char *end
    cdef const unsigned char *stop
    cdef const unsigned char *colon
    cdef char *out
    cdef Py_ssize_t index
    cdef Value value
    if type(self) is not ExchangeClass:
        return PureExchange.headers.fget(self)
    kept = <object> peek(self, E.fields)
    if kept is not None:
        return kept
    head = <object> peek(self, E.head)
    at = <const unsigned char *> PyBytes_AS_STRING(head)
    end = at + PyBytes_GET_SIZE(head)
    fields = []
    at = <const unsigned char *> memchr(at, 10, end - at) + 1
    while at[0] != 13:
        stop = <const unsigned char *> memchr(at, 13, end - at)
        colon = <const unsigned char *> memchr(at, 58, stop - at)
        name = PyBytes_FromStringAndSize(NULL, colon - at)
        out = PyBytes_AS_STRING(name)
        for index in range(colon - at):
            out[index] = <char> TOKEN[at[index]]
        value.at, value.stop = colon + 1, stop
        strip(&value)
        fields.append((name, PyBytes_FromStringAndSize(<const char *> value.at, value.stop - value.at)))
        at = stop + 2
    put(self, E.fields, fields)
    return fields


cdef inline void strip(Value *value) noexcept nogil:
    """RFC 9110 §5.5: a value without the white space around it."""
    while value.at < value.stop and (value.at[0] == 32 or value.at[0] == 9):
        value.at += 1
    while value.stop > value.at and ((value.stop - 1)[0] == 32 or (value.stop - 1)[0] == 9):
        value.stop -= 1


# -- binding -------------------------------------------------------------------------------------------------------------------


cdef Py_ssize_t slot(object cls, str name) except -1:
    """Where a slot is."""
    for base in cls.__mro__:
        if name in base.__dict__:
            offset = tercel_slot_offset(base.__dict__[name])
            if offset >= 0:
                return offset
    raise ImportError(f"{cls.__name__}.{name} is no slot: tercel/server/_http1.pyx was built for other sources, build it again")


cdef int read_template(object example, tuple own, Template *out) except -1:
    """Take the slots of an example, except those that are filled for each object."""
    for base in type(example).__mro__:
        for name in base.__dict__.get("__slots__", ()):
            offset = tercel_slot_offset(base.__dict__[name]) if name in base.__dict__ else -1
            if offset < 0 or name in own or peek(example, offset) == NULL:
                continue
            value = <object> peek(example, offset)
            if not isinstance(value, (bool, int, float, str, bytes, type(None))) or out.count == 64:
                raise ImportError(f"{type(example).__name__}.{name} has to be filled for each object in tercel/server/_http1.pyx")
            Py_INCREF(value)
            out.offsets[out.count] = offset
            out.values[out.count] = <PyObject *> value
            out.count += 1
    return 0


def bind(connection, exchange, body, parts):
    """Take the classes and functions that belong to these.

    Args:
        connection: the subclass of HttpConnection that has `data_received`.
        exchange: an example of the subclass of HttpExchange that has the other functions: HTTP/1.1, kept alive, nothing sent yet.
        body: an example of a RequestBody that has arrived and was not read.
        parts: what else is used, by name.

    Raises:
        ImportError: this was built for other sources.
    """
    global ConnectionClass, ExchangeClass, PureConnection, PureExchange, BodyClass, HeadClass, ReaderClass, DrainingClass
    global Rejected, check_host, known_hosts, unquote, settle, settle_exit, Task, task_done, task_cancelled, task_exception
    global pure_data_received, pure_answered, pure_json_at_once, pure_respond, pure_respond_now
    global HEAD_WIRE, HEAD_STATUS, READER_BEGUN, DRAINING_BEGUN
    if ExchangeClass is not None:
        raise ImportError("tercel/server/_http1.pyx is bound already")
    PureConnection, PureExchange = connection.__base__, type(exchange).__base__
    BodyClass, HeadClass, ReaderClass, DrainingClass = type(body), parts["head"], parts["reader"], parts["draining"]
    Rejected, check_host, known_hosts = parts["rejected"], parts["check_host"], parts["known_hosts"]
    unquote, settle, settle_exit, Task = parts["unquote"], parts["settle"], parts["settle_exit"], parts["task"]
    task_done, task_cancelled, task_exception = Task.done, Task.cancelled, Task.exception
    pure_data_received, pure_answered = PureConnection.data_received, PureConnection.answered
    pure_respond, pure_respond_now, pure_json_at_once = PureExchange.respond, PureExchange.respond_now, PureExchange.json_at_once
    bind_connection(PureConnection)
    bind_exchange(PureExchange)
    B.chunks = slot(BodyClass, "_chunks")
    B.limit = slot(BodyClass, "_limit_bytes")
    B.source = slot(BodyClass, "_source")
    B.buffered = slot(BodyClass, "buffered_bytes")
    B.complete = slot(BodyClass, "complete")
    B.received = slot(BodyClass, "received_bytes")
    B.started = slot(BodyClass, "started")
    B.too_large = slot(BodyClass, "too_large")
    B.whole = slot(BodyClass, "_whole")
    bind_server(parts["server"])
    bind_pieces(parts["stream"], parts["pieces"])
    HEAD_WIRE = slot(HeadClass, "wire")
    HEAD_STATUS = slot(HeadClass, "status")
    READER_BEGUN = slot(ReaderClass, "begun")
    DRAINING_BEGUN = slot(DrainingClass, "begun")
    own = ("_connection", "_head", "method", "path", "raw_path", "query_string", "keep_alive", "request_body", "root_path")
    read_template(exchange, own + ("client", "scheme", "path_params", "_simple"), &new_exchange)
    read_template(body, ("_chunks", "_limit_bytes", "_source", "buffered_bytes", "received_bytes"), &new_body)
    ConnectionClass, ExchangeClass = connection, type(exchange)


cdef object bind_connection(object cls):
    C.ahead = slot(cls, "_ahead")
    C.client_closes = slot(cls, "_client_closes")
    C.config = slot(cls, "_config")
    C.consuming = slot(cls, "_consuming")
    C.discarded = slot(cls, "_discarded_bytes")
    C.left = slot(cls, "_left_bytes")
    C.paused_by_app = slot(cls, "_paused_by_app")
    C.reader = slot(cls, "_reader")
    C.ready = slot(cls, "_ready")
    C.state = slot(cls, "_state")
    C.trusted = slot(cls, "_trusted")
    C.used = slot(cls, "_used")
    C.client = slot(cls, "client")
    C.deadline = slot(cls, "deadline")
    C.exchange = slot(cls, "exchange")
    C.loop = slot(cls, "loop")
    C.lost = slot(cls, "lost")
    C.root_path = slot(cls, "root_path")
    C.scheme = slot(cls, "scheme")
    C.server = slot(cls, "server")
    C.write = slot(cls, "write")
    C.write_paused = slot(cls, "write_paused")


cdef object bind_server(object cls):
    global ServerClass
    ServerClass = cls
    S.access_log = slot(cls, "access_log")
    S.draining = slot(cls, "draining")
    S.handler = slot(cls, "handler")
    S.idle_deadline_s = slot(cls, "idle_deadline_s")
    S.response_count = slot(cls, "response_count")
    S.tail = slot(cls, "tail")
    S.watches_responses = slot(cls, "watches_responses")


cdef object bind_exchange(object cls):
    E.connection = slot(cls, "_connection")
    E.end_waiters = slot(cls, "_end_waiters")
    E.fields = slot(cls, "_fields")
    E.head = slot(cls, "_head")
    E.simple = slot(cls, "_simple")
    E.began = slot(cls, "began_s")
    E.client = slot(cls, "client")
    E.finished = slot(cls, "finished")
    E.keep_alive = slot(cls, "keep_alive")
    E.method = slot(cls, "method")
    E.path = slot(cls, "path")
    E.path_params = slot(cls, "path_params")
    E.query_string = slot(cls, "query_string")
    E.raw_path = slot(cls, "raw_path")
    E.request_body = slot(cls, "request_body")
    E.root_path = slot(cls, "root_path")
    E.scheme = slot(cls, "scheme")
    E.sent = slot(cls, "sent_body_bytes")
    E.started = slot(cls, "started")
    E.status = slot(cls, "status")
    E.stream = slot(cls, "_stream")
    E.view = slot(cls, "view")
