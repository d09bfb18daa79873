# JSON text under construction, and the scalars that are put into it: included by the writer.

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.datetime cimport (
    date_day, date_month, date_year, datetime_hour, datetime_microsecond, datetime_minute, datetime_second, datetime_tzinfo,
    import_datetime, timedelta_days, timedelta_microseconds, timedelta_seconds,
)
from cpython.float cimport PyFloat_AS_DOUBLE
from libc.math cimport fabs, isfinite, signbit
from libc.stdint cimport uint64_t
from libc.stdlib cimport realloc
from libc.string cimport memcpy

import datetime as datetime_module
import zoneinfo

from pydantic_core import TzInfo, to_json

import_datetime()

cdef extern from "Python.h":
    object PyObject_Repr(object value)
    long long PyLong_AsLongLongAndOverflow(object value, int *overflow) except? -1
    bint PyUnicode_IS_COMPACT_ASCII(object text)
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) except NULL
    const char *PyUnicode_DATA(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)

cdef object Timezone = datetime_module.timezone
cdef object UTC = datetime_module.timezone.utc
cdef object ZoneInfo = zoneinfo.ZoneInfo

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
