# cython: language_level=3, boundscheck=False, wraparound=False, embedsignature=False, freethreading_compatible=False
"""JSON straight from models, lists and scalars whose exact types were foreseen; everything else is declined before a byte counts.

Optional: without it pydantic writes everything. A `Writer` is one node of a tree that `tercel.analyse.writers` makes from a schema.
It looks at exact types only and calls no code of the user's; a value that is anything else makes the whole attempt return None, and
then pydantic serialises the value from its beginning, with its own result, warning or error. Knows neither schemas nor pydantic's
classes. Read `docs/design/0013-written-json.md` for the reasons.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.datetime cimport (
    date_day, date_month, date_year, datetime_hour, datetime_microsecond, datetime_minute, datetime_second, datetime_tzinfo,
    import_datetime, timedelta_days, timedelta_microseconds, timedelta_seconds,
)
from cpython.float cimport PyFloat_AS_DOUBLE
from cpython.object cimport PyObject
from libc.math cimport fabs, isfinite, signbit
from libc.stdint cimport uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy

import datetime as datetime_module
import decimal
import uuid
import zoneinfo

from pydantic_core import TzInfo, to_json

import_datetime()

cdef extern from "Python.h":
    object PyObject_GenericGetDict(object owner, void *context)
    object PyObject_Repr(object value)
    object PyObject_Str(object value)
    PyObject *PyList_GET_ITEM(object values, Py_ssize_t index)
    Py_ssize_t PyList_GET_SIZE(object values)
    PyObject *PyTuple_GET_ITEM(object values, Py_ssize_t index)
    Py_ssize_t PyTuple_GET_SIZE(object values)
    int PyDict_Next(object mapping, Py_ssize_t *position, PyObject **key, PyObject **value)
    PyObject *PyDict_GetItemWithError(object mapping, object key) except? NULL
    long long PyLong_AsLongLongAndOverflow(object value, int *overflow) except? -1
    bint PyUnicode_IS_COMPACT_ASCII(object text)
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) except NULL
    const char *PyUnicode_DATA(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)

cdef enum:
    STR, INT, FLOAT, BOOL, NONE, DATETIME, DATE, UUID_KIND, DECIMAL, ANY, PLAIN, LITERAL, ENUM, NULLABLE, LIST, DICT, MODEL

cdef dict KINDS = {
    "str": STR, "int": INT, "float": FLOAT, "bool": BOOL, "none": NONE, "datetime": DATETIME, "date": DATE, "uuid": UUID_KIND,
    "decimal": DECIMAL, "any": ANY, "plain": PLAIN, "literal": LITERAL, "enum": ENUM, "nullable": NULLABLE, "list": LIST,
    "dict": DICT, "model": MODEL,
}

cdef object Date = datetime_module.date
cdef object DateTime = datetime_module.datetime
cdef object Timezone = datetime_module.timezone
cdef object UTC = datetime_module.timezone.utc
cdef object ZoneInfo = zoneinfo.ZoneInfo
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

cdef const char *HEX_DIGITS = "0123456789abcdef"
# RFC 8259 §7: what follows the backslash; "u" for the control characters without a short form, 0 for what stands for itself.
cdef unsigned char[256] ESCAPES


cdef void fill_escapes():
    cdef int code
    for code in range(32):
        ESCAPES[code] = b"u"
    ESCAPES[8] = b"b"
    ESCAPES[9] = b"t"
    ESCAPES[10] = b"n"
    ESCAPES[12] = b"f"
    ESCAPES[13] = b"r"
    ESCAPES[34] = 34
    ESCAPES[92] = 92


fill_escapes()


# -- the text under construction -------------------------------------------------------------------------------------------------

cdef struct Out:
    char *start
    char *at
    char *end


cdef int grow(Out *out, Py_ssize_t more) except -1:
    cdef Py_ssize_t used = out.at - out.start
    cdef Py_ssize_t size = (out.end - out.start) * 2
    if size < used + more:
        size = used + more
    moved = <char *> realloc(out.start, size)
    if moved == NULL:
        raise MemoryError
    out.start = moved
    out.at = moved + used
    out.end = moved + size
    return 0


cdef inline int reserve(Out *out, Py_ssize_t more) except -1:
    """Make room for so many bytes."""
    if out.end - out.at < more:
        return grow(out, more)
    return 0


cdef inline void put_bytes(Out *out, const char *data, Py_ssize_t size) noexcept:
    memcpy(out.at, data, size)
    out.at += size


cdef inline void put_byte(Out *out, char byte) noexcept:
    out.at[0] = byte
    out.at += 1


cdef inline void put_number(Out *out, uint64_t number) noexcept:
    """At most 20 digits."""
    cdef char[20] digits
    cdef int first = 20
    while True:
        first -= 1
        digits[first] = <char> (48 + number % 10)
        number //= 10
        if number == 0:
            break
    put_bytes(out, digits + first, 20 - first)


cdef inline void put_digits(Out *out, unsigned int number, int count) noexcept:
    """So many digits, with leading zeros."""
    cdef int index
    for index in range(count - 1, -1, -1):
        out.at[index] = <char> (48 + number % 10)
        number //= 10
    out.at += count


# -- scalars -----------------------------------------------------------------------------------------------------------------------


cdef int put_str(Out *out, object text) except -1:
    """A string in quotes, as serde_json escapes it. Raises UnicodeEncodeError for surrogates."""
    cdef const unsigned char *data
    cdef const unsigned char *end
    cdef const unsigned char *begin
    cdef unsigned char escape
    cdef Py_ssize_t size
    if PyUnicode_IS_COMPACT_ASCII(text):
        data = <const unsigned char *> PyUnicode_DATA(text)
        size = PyUnicode_GET_LENGTH(text)
    else:
        data = <const unsigned char *> PyUnicode_AsUTF8AndSize(text, &size)
    end = data + size
    reserve(out, size + 2)
    put_byte(out, 34)
    begin = data
    while data < end and not ESCAPES[data[0]]:
        data += 1
    put_bytes(out, <const char *> begin, data - begin)
    if data < end:
        reserve(out, 6 * (end - data) + 1)
        while data < end:
            escape = ESCAPES[data[0]]
            if not escape:
                put_byte(out, <char> data[0])
            else:
                put_byte(out, 92)
                put_byte(out, <char> escape)
                if escape == 117:
                    put_bytes(out, b"00", 2)
                    put_byte(out, HEX_DIGITS[data[0] >> 4])
                    put_byte(out, HEX_DIGITS[data[0] & 15])
            data += 1
    put_byte(out, 34)
    return 1


cdef int put_int(Out *out, object value) except -1:
    """An integer of 64 bits; larger ones are declined."""
    cdef int overflow = 0
    cdef long long number = PyLong_AsLongLongAndOverflow(value, &overflow)
    if overflow:
        return 0
    reserve(out, 21)
    if number < 0:
        put_byte(out, 45)
        put_number(out, 0 - <uint64_t> number)
    else:
        put_number(out, <uint64_t> number)
    return 1


cdef int put_float(Out *out, object value, bint plain) except -1:
    """A finite number.

    The shortest decimal that reads back as the number is found here if it has at most 15 digits: n / 10**k with n < 10**15 and the
    least k for which the (correctly rounded) division gives the number. No other decimal of 15 digits or fewer reads as the same
    number, so it is the shortest, whoever looks for it. For all others pydantic-core is asked or, with `plain`, Python.
    """
    cdef double number = PyFloat_AS_DOUBLE(value)
    cdef double size = fabs(number)
    cdef double power = 1.0
    cdef uint64_t scaled
    cdef uint64_t divisor = 1
    cdef int places
    if not isfinite(number):
        return 0
    if size == 0.0 or (size >= 0.001 and size < 1e9):
        for places in range(7):
            scaled = <uint64_t> (size * power + 0.5)
            if <double> scaled / power == size:
                reserve(out, 24)
                if signbit(number):
                    put_byte(out, 45)
                put_number(out, scaled // divisor)
                put_byte(out, 46)
                put_digits(out, <unsigned int> (scaled % divisor), places if places > 0 else 1)
                return 1
            power *= 10.0
            divisor *= 10
    text = PyObject_Repr(value).encode() if plain else to_json(value)
    size_bytes = PyBytes_GET_SIZE(text)
    reserve(out, size_bytes)
    put_bytes(out, PyBytes_AS_STRING(text), size_bytes)
    return 1


cdef inline void put_day(Out *out, object value) noexcept:
    """The ten characters of a date, for which there must be room."""
    put_digits(out, date_year(value), 4)
    put_byte(out, 45)
    put_digits(out, date_month(value), 2)
    put_byte(out, 45)
    put_digits(out, date_day(value), 2)


cdef int put_datetime(Out *out, object value) except -1:
    """RFC 3339 §5.6; an offset of odd seconds and time zones of unknown classes are declined."""
    cdef int seconds, microsecond
    zone = datetime_tzinfo(value)
    if zone is None or zone is UTC:
        seconds = 0
    elif type(zone) is Timezone or type(zone) is TzInfo or type(zone) is ZoneInfo:
        offset = value.utcoffset()
        if offset is None or timedelta_microseconds(offset) != 0:
            return 0
        seconds = timedelta_days(offset) * 86_400 + timedelta_seconds(offset)
        if seconds % 60 != 0:
            return 0
    else:
        return 0
    reserve(out, 40)
    put_byte(out, 34)
    put_day(out, value)
    put_byte(out, 84)
    put_digits(out, datetime_hour(value), 2)
    put_byte(out, 58)
    put_digits(out, datetime_minute(value), 2)
    put_byte(out, 58)
    put_digits(out, datetime_second(value), 2)
    microsecond = datetime_microsecond(value)
    if microsecond != 0:
        put_byte(out, 46)
        put_digits(out, microsecond, 6)
    if zone is not None:
        if seconds == 0:
            put_byte(out, 90)
        else:
            put_byte(out, 43 if seconds > 0 else 45)
            if seconds < 0:
                seconds = -seconds
            put_digits(out, seconds // 3600, 2)
            put_byte(out, 58)
            put_digits(out, seconds // 60 % 60, 2)
    put_byte(out, 34)
    return 1


cdef int put_date(Out *out, object value) except -1:
    reserve(out, 12)
    put_byte(out, 34)
    put_day(out, value)
    put_byte(out, 34)
    return 1


cdef int put_uuid(Out *out, object value) except -1:
    """RFC 9562 §4: five groups of lower-case digits."""
    cdef const unsigned char *data
    cdef int index
    whole = value.int.to_bytes(16, "big")
    data = <const unsigned char *> PyBytes_AS_STRING(whole)
    reserve(out, 38)
    put_byte(out, 34)
    for index in range(16):
        if index == 4 or index == 6 or index == 8 or index == 10:
            put_byte(out, 45)
        put_byte(out, HEX_DIGITS[data[index] >> 4])
        put_byte(out, HEX_DIGITS[data[index] & 15])
    put_byte(out, 34)
    return 1


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
