# cython: language_level=3, boundscheck=False, wraparound=False, embedsignature=False, freethreading_compatible=False
"""JSON straight from models, lists and scalars whose exact types were foreseen; everything else is declined before a byte counts.

Optional: without it pydantic writes everything. A `Writer` is one node of a tree that `tercel.analyse.writers` makes from a schema.
It looks at exact types only and calls no code of the user's; a value that is anything else makes the whole attempt return None, and
then pydantic serialises the value from its beginning, with its own result, warning or error. Knows neither schemas nor pydantic's
classes. Read `docs/design/0013-written-json.md` for the reasons.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.object cimport PyObject
from libc.stdlib cimport free, malloc

import decimal
import uuid

include "_scalars.pxi"

cdef extern from "Python.h":
    object PyObject_GenericGetDict(object owner, void *context)
    object PyObject_Str(object value)
    PyObject *PyList_GET_ITEM(object values, Py_ssize_t index)
    Py_ssize_t PyList_GET_SIZE(object values)
    PyObject *PyTuple_GET_ITEM(object values, Py_ssize_t index)
    Py_ssize_t PyTuple_GET_SIZE(object values)
    int PyDict_Next(object mapping, Py_ssize_t *position, PyObject **key, PyObject **value)
    PyObject *PyDict_GetItemWithError(object mapping, object key) except? NULL

cdef enum:
    STR, INT, FLOAT, BOOL, NONE, DATETIME, DATE, UUID_KIND, DECIMAL, ANY, PLAIN, LITERAL, ENUM, NULLABLE, LIST, DICT, MODEL

cdef dict KINDS = {
    "str": STR, "int": INT, "float": FLOAT, "bool": BOOL, "none": NONE, "datetime": DATETIME, "date": DATE, "uuid": UUID_KIND,
    "decimal": DECIMAL, "any": ANY, "plain": PLAIN, "literal": LITERAL, "enum": ENUM, "nullable": NULLABLE, "list": LIST,
    "dict": DICT, "model": MODEL,
}

cdef object Date = datetime_module.date
cdef object DateTime = datetime_module.datetime
cdef object Uuid = uuid.UUID
cdef object Decimal = decimal.Decimal

# Nesting that is followed; pydantic gives up at 255, and reports values that contain themselves.
cdef int DEPTH_MAX = 100
# As in `tercel.http.render`: deeper plain data is encoded the general way.
cdef int PLAIN_DEPTH_MAX = 9
# So many values in a row that were declined, and no further one is looked at: they are of another kind than was declared. Not so
# for `plain`, of which there is one for all that was not declared.
cdef int MISSES_MAX = 64
cdef Py_ssize_t HINT_MAX_BYTES = 1 << 20


# -- any value ---------------------------------------------------------------------------------------------------------------------


cdef int put_any(Out *out, object value, int depth, bint plain) except -1:
    """A value of no declared type. With `plain`: as `json.dumps` writes floats, and without keys of SQLAlchemy's."""
    cdef Py_ssize_t position = 0
    cdef PyObject *key
    cdef PyObject *held
    cdef bint first = True
    cdef str name
    kind = type(value)
    if kind is str:
        return put_str(out, value)
    if kind is int:
        return put_int(out, value)
    if kind is bool or value is None:
        return put_constant(out, value)
    if kind is float:
        return put_float(out, value, plain)
    if depth == 0:
        return 0
    if kind is dict:
        reserve(out, 2)
        put_byte(out, 123)
        while PyDict_Next(value, &position, &key, &held):
            if type(<object> key) is not str:
                return 0
            name = <str> key
            item = <object> held
            if plain and name.startswith("_sa"):
                return 0
            if not first:
                reserve(out, 1)
                put_byte(out, 44)
            first = False
            put_str(out, name)
            reserve(out, 1)
            put_byte(out, 58)
            if not put_any(out, item, depth - 1, plain):
                return 0
        reserve(out, 1)
        put_byte(out, 125)
        return 1
    if kind is list:
        reserve(out, 2)
        put_byte(out, 91)
        while position < PyList_GET_SIZE(value):
            item = <object> PyList_GET_ITEM(value, position)
            if position > 0:
                reserve(out, 1)
                put_byte(out, 44)
            position += 1
            if not put_any(out, item, depth - 1, plain):
                return 0
        reserve(out, 1)
        put_byte(out, 93)
        return 1
    return 0


cdef inline int put_constant(Out *out, object value) except -1:
    reserve(out, 5)
    if value is None:
        put_bytes(out, b"null", 4)
    elif value is True:
        put_bytes(out, b"true", 4)
    else:
        put_bytes(out, b"false", 5)
    return 1


# -- declared values ---------------------------------------------------------------------------------------------------------------


cdef class Writer:
    """See the module; what each kind needs is told in `_writer.pyi`."""

    cdef int kind
    cdef int misses
    cdef Py_ssize_t hint
    cdef object cls
    cdef object admits
    cdef dict admitted
    cdef dict places
    cdef tuple names
    cdef tuple texts
    cdef tuple parts
    cdef frozenset expected
    cdef Writer item
    cdef object otherwise

    def __init__(self, str kind, *, Writer item=None, expected=(), members=()):
        self.kind = KINDS[kind]
        self.hint = 256
        self.item = item
        self.expected = frozenset(expected)
        self.names = tuple(member for member, _ in members)
        self.texts = tuple(text for _, text in members)

    def set_model(self, cls, fields, admits):
        self.cls = cls
        self.admits = admits
        self.admitted = {}
        self.names = tuple(name for name, _, _ in fields)
        self.texts = tuple(b"," + to_json(key) + b":" for _, key, _ in fields)
        self.parts = tuple(part for _, _, part in fields)
        self.places = {name: place for place, name in enumerate(self.names)}

    def write(self, value):
        return write_whole(self, value)

    def followed_by(self, otherwise):
        self.otherwise = otherwise
        return self.write_or_else

    def write_or_else(self, value, ex):
        data = write_whole(self, value)
        return self.otherwise(value, ex) if data is None else data


cdef object write_whole(Writer self, object value):
    """The JSON of a value, or None."""
    cdef Out out
    cdef Py_ssize_t size
    if self.misses >= MISSES_MAX:
        return None
    out.start = <char *> malloc(self.hint)
    if out.start == NULL:
        raise MemoryError
    out.at = out.start
    out.end = out.start + self.hint
    try:
        if put(self, &out, value, PLAIN_DEPTH_MAX if self.kind == PLAIN else DEPTH_MAX):
            self.misses = 0
            size = out.at - out.start
            if size > self.hint and size <= HINT_MAX_BYTES:
                self.hint = size
            return PyBytes_FromStringAndSize(out.start, size)
    except Exception:
        # A lone surrogate, a time zone that fails: pydantic says what is wrong.
        pass
    finally:
        free(out.start)
    if self.kind != PLAIN:
        self.misses += 1
    return None


cdef int put(Writer self, Out *out, object value, int depth) except -1:
    """One value; 0 for one that is declined."""
    cdef int kind = self.kind
    if kind == NULLABLE:
        if value is None:
            return put_constant(out, value)
        self = self.item
        kind = self.kind
    if kind == STR:
        return put_str(out, value) if type(value) is str else 0
    if kind == INT:
        return put_int(out, value) if type(value) is int else 0
    if kind == FLOAT:
        return put_float(out, value, False) if type(value) is float else 0
    if kind == BOOL:
        return put_constant(out, value) if value is True or value is False else 0
    if kind == DATETIME:
        return put_datetime(out, value) if type(value) is DateTime else 0
    if depth == 0:
        return 0
    if kind == MODEL:
        return put_model(self, out, value, depth - 1)
    if kind == LIST:
        return put_list(self, out, value, depth - 1) if type(value) is list else 0
    if kind == DICT:
        return put_dict(self, out, value, depth - 1) if type(value) is dict else 0
    if kind == ANY:
        return put_any(out, value, depth, False)
    if kind == PLAIN:
        return put_any(out, value, depth, True)
    if kind == LITERAL:
        return put_str(out, value) if type(value) is str and value in self.expected else 0
    if kind == ENUM:
        return put_member(self, out, value)
    if kind == UUID_KIND:
        return put_uuid(out, value) if type(value) is Uuid else 0
    if kind == DATE:
        return put_date(out, value) if type(value) is Date else 0
    if kind == DECIMAL:
        return put_str(out, PyObject_Str(value)) if type(value) is Decimal else 0
    if kind == NULLABLE:
        return put(self, out, value, depth - 1)
    return put_constant(out, value) if value is None else 0


cdef int put_member(Writer self, Out *out, object value) except -1:
    """A member of an enumeration: the text that was made for this very object."""
    cdef Py_ssize_t index, size
    cdef PyObject *text
    for index in range(PyTuple_GET_SIZE(self.names)):
        if PyTuple_GET_ITEM(self.names, index) == <PyObject *> value:
            text = PyTuple_GET_ITEM(self.texts, index)
            size = PyBytes_GET_SIZE(<object> text)
            reserve(out, size)
            put_bytes(out, PyBytes_AS_STRING(<object> text), size)
            return 1
    return 0


cdef int put_list(Writer self, Out *out, object value, int depth) except -1:
    cdef Py_ssize_t position = 0
    cdef Writer part = self.item
    reserve(out, 2)
    put_byte(out, 91)
    # A list may change while it is written, as soon as a time zone or a class is asked something.
    while position < PyList_GET_SIZE(value):
        item = <object> PyList_GET_ITEM(value, position)
        if position > 0:
            reserve(out, 1)
            put_byte(out, 44)
        position += 1
        if not put(part, out, item, depth):
            return 0
    reserve(out, 1)
    put_byte(out, 93)
    return 1


cdef int put_dict(Writer self, Out *out, object value, int depth) except -1:
    cdef Py_ssize_t position = 0
    cdef PyObject *key
    cdef PyObject *held
    cdef bint first = True
    cdef Writer part = self.item
    reserve(out, 2)
    put_byte(out, 123)
    while PyDict_Next(value, &position, &key, &held):
        name = <object> key
        item = <object> held
        if type(name) is not str:
            return 0
        if not first:
            reserve(out, 1)
            put_byte(out, 44)
        first = False
        put_str(out, name)
        reserve(out, 1)
        put_byte(out, 58)
        if not put(part, out, item, depth):
            return 0
    reserve(out, 1)
    put_byte(out, 125)
    return 1


cdef bint admits_class(Writer self, object cls) except -1:
    """Whether instances of another class are written as those of the declared one; asked once for each class."""
    known = self.admitted.get(cls)
    if known is None:
        known = self.admitted[cls] = bool(self.admits(cls))
    return known


cdef int put_model(Writer self, Out *out, object value, int depth) except -1:
    """The fields in the order of the instance's dict, as pydantic has it. All of them must be there, and of an instance of the
    class itself nothing else; what a subclass adds is left out."""
    cdef Py_ssize_t position = 0
    cdef Py_ssize_t written = 0
    cdef Py_ssize_t place, size
    cdef Py_ssize_t count = PyTuple_GET_SIZE(self.names)
    cdef PyObject *key
    cdef PyObject *held
    cdef PyObject *found
    cdef PyObject *text
    cdef bint exact = type(value) is self.cls
    if not exact and not admits_class(self, type(value)):
        return 0
    fields = PyObject_GenericGetDict(value, NULL)
    while PyDict_Next(fields, &position, &key, &held):
        item = <object> held
        place = written
        if place == count or PyTuple_GET_ITEM(self.names, place) != key:
            if type(<object> key) is not str:
                return 0
            found = PyDict_GetItemWithError(self.places, <object> key)
            if found == NULL:
                if exact:
                    return 0
                continue
            place = <object> found
        text = PyTuple_GET_ITEM(self.texts, place)
        size = PyBytes_GET_SIZE(<object> text)
        reserve(out, size)
        put_bytes(out, PyBytes_AS_STRING(<object> text), size)
        if written == 0:
            (out.at - size)[0] = 123
        written += 1
        if not put(<Writer> PyTuple_GET_ITEM(self.parts, place), out, item, depth):
            return 0
    if written != count:
        return 0
    reserve(out, 2)
    if count == 0:
        put_byte(out, 123)
    put_byte(out, 125)
    return 1
