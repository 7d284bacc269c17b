# cython: language_level=3, boundscheck=False, wraparound=False, freethreading_compatible=False
"""Spans of the OpenTelemetry SDK -> OTLP protobuf, without a Python object for each field.

It reads the private slots of the SDK's own classes, where nothing of an application can run. Whatever is not exactly
of a type that it knows, it leaves, with the whole span, to the encoder in Python, whose bytes are the same.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_Next
from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy, memmove

from collections import deque

from tracezip.convert.schema import MAX_DEPTH
from tracezip.convert.values import ATTRIBUTE_DEPTH
from tracezip.convert.wire import utf8

cdef extern from *:
    """
    /* The number in big-endian order; -1 and an exception if it is negative or needs more bytes. */
    static int id_bytes(PyObject *number, unsigned char *to, Py_ssize_t n) {
    #if PY_VERSION_HEX >= 0x030D0000
        Py_ssize_t needed = PyLong_AsNativeBytes(number, to, n,
            Py_ASNATIVEBYTES_BIG_ENDIAN | Py_ASNATIVEBYTES_UNSIGNED_BUFFER | Py_ASNATIVEBYTES_REJECT_NEGATIVE);
        if (needed <= n) return needed < 0 ? -1 : 0;
        PyErr_SetString(PyExc_OverflowError, "int too big to convert");
        return -1;
    #else
        return _PyLong_AsByteArray((PyLongObject *)number, to, (size_t)n, 0, 0);
    #endif
    }
    /* An int of a class of its own, such as an IntEnum, that compares and masks as int does. */
    static int is_integer(PyObject *value) {
        PyTypeObject *type = Py_TYPE(value);
        return PyLong_Check(value) && type->tp_richcompare == PyLong_Type.tp_richcompare
            && type->tp_as_number->nb_and == PyLong_Type.tp_as_number->nb_and;
    }
    """
    bint is_integer(object value)
    int id_bytes(object number, unsigned char *to, Py_ssize_t n) except -1

cdef extern from "Python.h":
    int PyErr_CheckSignals() except -1
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *n) except NULL
    unsigned long long PyLong_AsUnsignedLongLong(object number) except? 0xFFFFFFFFFFFFFFFF
    unsigned long long PyLong_AsUnsignedLongLongMask(object number) except? 0xFFFFFFFFFFFFFFFF
    long long PyLong_AsLongLongAndOverflow(object number, int *overflow) except? -1
    int PyFloat_Pack8(double number, char *to, int little_endian) except -1
    bint PyFloat_Check(object value)
    double PyFloat_AS_DOUBLE(object number)
    Py_ssize_t PyTuple_GET_SIZE(object items)
    PyObject *PyTuple_GET_ITEM(object items, Py_ssize_t i)
    Py_ssize_t PyList_GET_SIZE(object items)
    PyObject *PyList_GET_ITEM(object items, Py_ssize_t i)

cdef enum:  # field number << 3 | wire type
    TRACE_ID = 0x0A, SPAN_ID = 0x12, TRACE_STATE = 0x1A  # of spans and links
    PARENT_SPAN_ID = 0x22, NAME = 0x2A, KIND = 0x30, START = 0x39, END = 0x41, ATTRIBUTES = 0x4A
    DROPPED_ATTRIBUTES = 0x50, EVENTS = 0x5A, DROPPED_EVENTS = 0x60, LINKS = 0x6A, DROPPED_LINKS = 0x70, STATUS = 0x7A
    FLAGS = 0x85, FLAGS_SECOND = 0x01
    EVENT_TIME = 0x09, EVENT_NAME = 0x12, EVENT_ATTRIBUTES = 0x1A, EVENT_DROPPED = 0x20
    LINK_ATTRIBUTES = 0x22, LINK_DROPPED = 0x28, LINK_FLAGS = 0x35
    STATUS_MESSAGE = 0x12, STATUS_CODE = 0x18
    KEY = 0x0A, VALUE = 0x12
    STRING_VALUE = 0x0A, BOOL_VALUE = 0x10, INT_VALUE = 0x18, DOUBLE_VALUE = 0x21, ARRAY_VALUE = 0x2A
    KVLIST_VALUE = 0x32, BYTES_VALUE = 0x3A, VALUES = 0x0A
    RESOURCE_ATTRIBUTES = 0x0A
    SCOPE_NAME = 0x0A, SCOPE_VERSION = 0x12, SCOPE_ATTRIBUTES = 0x1A
    RESOURCE_SPANS = 0x0A, RESOURCE = 0x0A, SCOPE_SPANS = 0x12, SCOPE = 0x0A, SPANS = 0x12, SCHEMA_URL = 0x1A
    HAS_IS_REMOTE = 0x100, IS_REMOTE = 0x200, TRACE_FLAGS_MASK = 0xFF

cdef enum:
    FIRST_BYTES = 1 << 14  # of the buffer, which doubles
    FIRST_SPANS = 64  # likewise
    SPANS_A_TURN = 1024  # then other threads have theirs
    N_KNOWN = 64  # pairs of resource and scope that are found again without a dict; a power of two

cdef int most_depth = MAX_DEPTH
cdef int attribute_depth = ATTRIBUTE_DEPTH


class Unusual(Exception):
    """The span has a part that only the encoder in Python knows."""


cdef int unusual() except -1:
    raise Unusual


# --- the buffer -------------------------------------------------------------------------------------------------------

cdef struct Out:
    uint8_t *p
    size_t n, size


cdef int grow(Out *o, size_t more) except -1:
    cdef size_t size = o.size * 2 if o.size else FIRST_BYTES
    while size - o.n < more:
        size *= 2
    cdef uint8_t *p = <uint8_t *>realloc(o.p, size)
    if p == NULL:
        raise MemoryError
    o.p = p
    o.size = size
    return 0


cdef inline int room(Out *o, size_t more) except -1:
    return grow(o, more) if o.size - o.n < more else 0


cdef inline size_t varint_size(uint64_t number) noexcept:
    cdef size_t n = 1
    while number > 0x7F:
        number >>= 7
        n += 1
    return n


cdef inline size_t write_varint(uint8_t *p, uint64_t number) noexcept:
    cdef size_t n = 0
    while number > 0x7F:
        p[n] = <uint8_t>(number & 0x7F | 0x80)
        number >>= 7
        n += 1
    p[n] = <uint8_t>number
    return n + 1


cdef inline int put_number(Out *o, uint8_t tag, uint64_t number) except -1:
    room(o, 11)
    o.p[o.n] = tag
    o.n += 1 + write_varint(o.p + o.n + 1, number)
    return 0


cdef inline void put_little(Out *o, uint64_t number, size_t n_bytes) noexcept:
    """There must be room."""
    cdef size_t i
    for i in range(n_bytes):
        o.p[o.n + i] = <uint8_t>(number >> 8 * i)
    o.n += n_bytes


cdef inline int put_bytes(Out *o, uint8_t tag, const char *p, size_t n) except -1:
    room(o, n + 11)
    o.p[o.n] = tag
    o.n += 1 + write_varint(o.p + o.n + 1, n)
    memcpy(o.p + o.n, p, n)
    o.n += n
    return 0


cdef inline size_t begin(Out *o, uint8_t tag) except 0:
    """Begins a message, whose length will have one byte; gives where its content starts."""
    room(o, 2)
    o.p[o.n] = tag
    o.n += 2
    return o.n


cdef inline int end(Out *o, size_t start) except -1:
    """Ends the message. One of more than 127 bytes moves up for the rest of its length."""
    cdef size_t n = o.n - start
    cdef size_t extra = varint_size(n) - 1
    if extra:
        room(o, extra)
        memmove(o.p + start + extra, o.p + start, n)
        o.n += extra
    write_varint(o.p + start - 1, n)
    return 0


# --- values -----------------------------------------------------------------------------------------------------------


cdef inline int put_text(Out *o, uint8_t tag, text, bint explicit) except -1:
    """A str; an empty one only if it is `explicit`. Raises for an unpaired surrogate."""
    cdef Py_ssize_t n = 0
    cdef const char *p
    if type(text) is not str:
        unusual()
    p = PyUnicode_AsUTF8AndSize(text, &n)
    return put_bytes(o, tag, p, <size_t>n) if n or explicit else 0


cdef inline int put_text_or_none(Out *o, uint8_t tag, text) except -1:
    return 0 if text is None else put_text(o, tag, text, False)


cdef inline int put_count(Out *o, uint8_t tag, number) except -1:
    if type(number) is not int:
        unusual()
    cdef uint64_t value = PyLong_AsUnsignedLongLong(number)
    return put_number(o, tag, value) if value else 0


cdef inline int put_time(Out *o, uint8_t tag, time) except -1:
    cdef uint64_t value
    if time is None:
        return 0
    if type(time) is not int:
        unusual()
    value = PyLong_AsUnsignedLongLong(time)
    if value:
        room(o, 9)
        o.p[o.n] = tag
        o.n += 1
        put_little(o, value, 8)
    return 0


cdef inline int put_id(Out *o, uint8_t tag, number, uint8_t n_bytes) except -1:
    if type(number) is not int:
        unusual()
    room(o, 2 + n_bytes)
    o.p[o.n] = tag
    o.p[o.n + 1] = n_bytes
    id_bytes(number, o.p + o.n + 2, n_bytes)
    o.n += 2 + n_bytes
    return 0


cdef int put_integer(Out *o, number) except -1:
    cdef int overflow = 0
    cdef int64_t value = PyLong_AsLongLongAndOverflow(number, &overflow)
    if overflow:
        unusual()
    return put_number(o, INT_VALUE, <uint64_t>value)


cdef int put_value(Out *o, value, int depth) except -1:
    """The content of an AnyValue."""
    if type(value) is str:
        put_text(o, STRING_VALUE, value, True)
    elif value is None:
        pass
    elif type(value) is bool:
        put_number(o, BOOL_VALUE, value is True)
    elif type(value) is int or is_integer(value):
        put_integer(o, value)
    elif PyFloat_Check(value):
        room(o, 9)
        o.p[o.n] = DOUBLE_VALUE
        PyFloat_Pack8(PyFloat_AS_DOUBLE(value), <char *>o.p + o.n + 1, 1)
        o.n += 9
    elif type(value) is bytes:
        put_bytes(o, BYTES_VALUE, PyBytes_AS_STRING(value), <size_t>PyBytes_GET_SIZE(value))
    else:
        put_container(o, value, depth)
    return 0


cdef int put_container(Out *o, value, int depth) except -1:
    cdef size_t start
    cdef Py_ssize_t i = 0
    if depth >= most_depth:
        unusual()
    if type(value) is tuple:
        start = begin(o, ARRAY_VALUE)
        for i in range(PyTuple_GET_SIZE(value)):
            put_item(o, <object>PyTuple_GET_ITEM(value, i), depth)
    elif type(value) is list:
        start = begin(o, ARRAY_VALUE)
        while i < PyList_GET_SIZE(value):
            put_item(o, <object>PyList_GET_ITEM(value, i), depth)
            i += 1
    elif type(value) is dict:
        start = begin(o, KVLIST_VALUE)
        put_pairs(o, VALUES, value, depth + 3)
    else:
        return unusual()
    return end(o, start)


cdef inline int put_item(Out *o, value, int depth) except -1:
    cdef size_t start = begin(o, VALUES)
    put_value(o, value, depth + 2)
    return end(o, start)


cdef int put_pairs(Out *o, uint8_t tag, pairs, int depth) except -1:
    """The KeyValue messages of a dict, which nothing can change meanwhile: all that runs is here."""
    cdef PyObject *key
    cdef PyObject *value
    cdef Py_ssize_t at = 0
    cdef size_t start, value_start
    if type(pairs) is not dict:
        unusual()
    while PyDict_Next(pairs, &at, &key, &value):
        start = begin(o, tag)
        put_text(o, KEY, <object>key, False)
        value_start = begin(o, VALUE)
        put_value(o, <object>value, depth)
        end(o, value_start)
        end(o, start)
    return 0


# --- the messages in a span -------------------------------------------------------------------------------------------


cdef class SpanWriter:
    """Writes spans of these classes, the SDK's. One may be used by several threads."""

    cdef object readable_span, event, link, context, trace_flags, trace_state, status, resource, scope
    cdef object bounded_attributes, bounded_list
    cdef tuple kinds, codes

    def __init__(
        self,
        *,
        readable_span,
        event,
        link,
        context,
        trace_flags,
        trace_state,
        status,
        resource,
        scope,
        bounded_attributes,
        bounded_list,
        kinds,
        codes,
    ):
        self.readable_span, self.event, self.link, self.context = readable_span, event, link, context
        self.trace_flags, self.trace_state, self.status = trace_flags, trace_state, status
        self.resource, self.scope = resource, scope
        self.bounded_attributes, self.bounded_list = bounded_attributes, bounded_list
        self.kinds, self.codes = kinds, codes

    def write(self, spans, other_way):
        """The spans as one OTLP message.

        other_way(index, span): the keys of its resource and scope, each as (the message, the schema URL), and the Span
        message; for spans that are not to be written here. What it raises is raised.
        """
        cdef _Output output = _Output()
        cdef Out *o = &output.out
        cdef size_t start, index = 0
        cdef uint32_t group
        for span in spans:
            start = o.n
            try:
                group = self.put_span(output, span)
            except Exception:
                o.n = start
                resource, scope, data = other_way(index, span)
                group = output.group_of(resource, scope)
                room(o, <size_t>PyBytes_GET_SIZE(data))
                memcpy(o.p + o.n, PyBytes_AS_STRING(data), <size_t>PyBytes_GET_SIZE(data))
                o.n += <size_t>PyBytes_GET_SIZE(data)
            output.place(start, group)
            index += 1
            if index % SPANS_A_TURN == 0:
                PyErr_CheckSignals()
                with nogil:
                    pass
        return output.message()

    cdef uint32_t put_span(self, _Output output, span) except? 0xFFFFFFFF:
        """Its fields; gives its group."""
        cdef Out *o = &output.out
        cdef uint32_t flags
        if type(span) is not self.readable_span:
            unusual()
        context, parent, kind = span._context, span._parent, span._kind
        flags = self.put_context(o, context)
        if parent is not None:
            if self.is_remote(parent):
                flags |= IS_REMOTE
            put_id(o, PARENT_SPAN_ID, <object>PyTuple_GET_ITEM(parent, 1), 8)
        put_text(o, NAME, span._name, False)
        put_number(o, KIND, 1 + place_in(self.kinds, kind))
        put_time(o, START, span._start_time)
        put_time(o, END, span._end_time)
        self.put_attributes(o, ATTRIBUTES, DROPPED_ATTRIBUTES, span._attributes, attribute_depth)
        self.put_events(o, span._events)
        self.put_links(o, span._links)
        self.put_status(o, span._status)
        room(o, 6)
        o.p[o.n] = FLAGS
        o.p[o.n + 1] = FLAGS_SECOND
        o.n += 2
        put_little(o, flags, 4)
        return self.group_of(output, span._resource, span._instrumentation_scope)

    cdef uint32_t put_context(self, Out *o, context) except? 0xFFFFFFFF:
        """The ids and the trace state of a span or link; gives its W3C flags, and that remoteness is known."""
        if type(context) is not self.context or PyTuple_GET_SIZE(context) < 5:
            unusual()
        put_id(o, TRACE_ID, <object>PyTuple_GET_ITEM(context, 0), 16)
        put_id(o, SPAN_ID, <object>PyTuple_GET_ITEM(context, 1), 8)
        flags = <object>PyTuple_GET_ITEM(context, 3)
        if type(flags) is not self.trace_flags and type(flags) is not int:
            unusual()
        self.put_trace_state(o, <object>PyTuple_GET_ITEM(context, 4))
        return <uint32_t>(PyLong_AsUnsignedLongLongMask(flags) & TRACE_FLAGS_MASK | HAS_IS_REMOTE)

    cdef bint is_remote(self, context) except -1:
        if type(context) is not self.context or PyTuple_GET_SIZE(context) < 5:
            unusual()
        remote = <object>PyTuple_GET_ITEM(context, 2)
        if type(remote) is not bool and remote is not None:
            unusual()
        return remote is True

    cdef int put_trace_state(self, Out *o, state) except -1:
        if type(state) is not self.trace_state:
            unusual()
        entries = state._dict
        if type(entries) is not dict:
            unusual()
        if not entries:
            return 0
        for key, value in (<dict>entries).items():
            if type(key) is not str or type(value) is not str:
                unusual()
        return put_text(o, TRACE_STATE, ",".join([f"{key}={value}" for key, value in (<dict>entries).items()]), False)

    cdef int put_attributes(self, Out *o, uint8_t tag, uint8_t dropped_tag, attributes, int depth) except -1:
        """And how many were dropped, which only the SDK's own mapping knows."""
        if attributes is None:
            return 0
        if type(attributes) is self.bounded_attributes:
            put_pairs(o, tag, attributes._dict, depth)
            return put_count(o, dropped_tag, attributes.dropped)
        return put_pairs(o, tag, attributes, depth)

    cdef int put_events(self, Out *o, events) except -1:
        cdef size_t start
        for event in self.items(events):
            if type(event) is not self.event:
                unusual()
            start = begin(o, EVENTS)
            put_time(o, EVENT_TIME, event._timestamp)
            put_text(o, EVENT_NAME, event._name, False)
            self.put_attributes(o, EVENT_ATTRIBUTES, EVENT_DROPPED, event._attributes, attribute_depth + 1)
            end(o, start)
        return self.put_dropped(o, DROPPED_EVENTS, events)

    cdef int put_links(self, Out *o, links) except -1:
        cdef size_t start
        cdef uint32_t flags
        for link in self.items(links):
            if type(link) is not self.link:
                unusual()
            context = link._context
            start = begin(o, LINKS)
            flags = self.put_context(o, context) | (IS_REMOTE if self.is_remote(context) else 0)
            self.put_attributes(o, LINK_ATTRIBUTES, LINK_DROPPED, link._attributes, attribute_depth + 1)
            room(o, 5)
            o.p[o.n] = LINK_FLAGS
            o.n += 1
            put_little(o, flags, 4)
            end(o, start)
        return self.put_dropped(o, DROPPED_LINKS, links)

    cdef object items(self, items):
        """What is in a list of the SDK, or in a list or tuple."""
        if type(items) is tuple or type(items) is list:
            return items
        if type(items) is not self.bounded_list:
            unusual()
        items = items._dq
        if type(items) is not deque:
            unusual()
        return items if len(items) else ()

    cdef int put_dropped(self, Out *o, uint8_t tag, items) except -1:
        return put_count(o, tag, items.dropped) if type(items) is self.bounded_list else 0

    cdef int put_status(self, Out *o, status) except -1:
        cdef size_t start
        cdef uint64_t code
        if type(status) is not self.status:
            unusual()
        start = begin(o, STATUS)
        put_text_or_none(o, STATUS_MESSAGE, status._description)
        code = place_in(self.codes, status._status_code)
        if code:
            put_number(o, STATUS_CODE, code)
        return end(o, start)

    cdef uint32_t group_of(self, _Output output, resource, scope) except? 0xFFFFFFFF:
        cdef Known *known = output.known_place(<PyObject *>resource, <PyObject *>scope)
        if known.resource != <PyObject *>resource or known.scope != <PyObject *>scope:
            known.group = output.group_of(self.resource_key(resource), self.scope_key(scope))
            output.kept.append((resource, scope))  # so that no other object gets its address
            known.resource, known.scope = <PyObject *>resource, <PyObject *>scope
        return known.group

    cdef tuple resource_key(self, resource):
        cdef _Output head = _Output()
        if type(resource) is not self.resource:
            unusual()
        attributes, schema_url = resource._attributes, resource._schema_url
        if type(attributes) is not self.bounded_attributes or type(schema_url) is not str:
            unusual()
        put_pairs(&head.out, RESOURCE_ATTRIBUTES, attributes._dict, attribute_depth)
        return head.content(), schema_url

    cdef tuple scope_key(self, scope):
        cdef _Output head = _Output()
        if scope is None:
            return b"", ""
        if type(scope) is not self.scope:
            unusual()
        attributes, schema_url = scope._attributes, scope._schema_url
        if type(attributes) is not self.bounded_attributes or type(schema_url) is not str:
            unusual()
        put_text_or_none(&head.out, SCOPE_NAME, scope._name)
        put_text_or_none(&head.out, SCOPE_VERSION, scope._version)
        put_pairs(&head.out, SCOPE_ATTRIBUTES, attributes._dict, attribute_depth)
        return head.content(), schema_url


cdef uint64_t place_in(tuple members, member) except? 0xFFFFFFFFFFFFFFFF:
    cdef Py_ssize_t i
    for i in range(PyTuple_GET_SIZE(members)):
        if PyTuple_GET_ITEM(members, i) == <PyObject *>member:
            return <uint64_t>i
    return unusual()


# --- the message ------------------------------------------------------------------------------------------------------

cdef struct Placed:
    size_t start, end
    uint32_t group

cdef struct Known:
    PyObject *resource
    PyObject *scope
    uint32_t group


cdef class _Output:
    """The spans of one message one after the other, and which group each belongs to: a resource and a scope."""

    cdef Out out
    cdef Placed *placed
    cdef size_t n_placed, n_room
    cdef Known known[N_KNOWN]
    cdef dict resources  # key of a resource -> key of a scope -> number of the group
    cdef uint32_t n_groups
    cdef list kept

    def __cinit__(self):
        self.resources = {}
        self.kept = []

    def __dealloc__(self):
        free(self.out.p)
        free(self.placed)

    cdef Known *known_place(self, PyObject *resource, PyObject *scope) noexcept:
        return &self.known[(<size_t>resource // 16 ^ <size_t>scope // 16 * 7) % N_KNOWN]

    cdef uint32_t group_of(self, resource, scope) except? 0xFFFFFFFF:
        cdef dict scopes = self.resources.setdefault(resource, {})
        group = scopes.get(scope)
        if group is None:
            group = scopes[scope] = self.n_groups
            self.n_groups += 1
        return group

    cdef bytes content(self):
        return PyBytes_FromStringAndSize(<char *>self.out.p, <Py_ssize_t>self.out.n) if self.out.n else b""

    cdef int place(self, size_t start, uint32_t group) except -1:
        """What was put since `start` is a span."""
        cdef size_t size
        cdef Placed *placed
        if self.n_placed == self.n_room:
            size = self.n_room * 2 if self.n_room else FIRST_SPANS
            placed = <Placed *>realloc(self.placed, size * sizeof(Placed))
            if placed == NULL:
                raise MemoryError
            self.placed, self.n_room = placed, size
        self.placed[self.n_placed] = Placed(start, self.out.n, group)
        self.n_placed += 1
        return 0

    cdef bytes message(self):
        """First the sizes of all parts, then the parts where they belong."""
        cdef size_t i, n, total
        cdef bytes message
        if not self.n_placed:
            return b""
        cdef size_t *at = <size_t *>calloc(self.n_groups, sizeof(size_t))
        if at == NULL:
            raise MemoryError
        try:
            for i in range(self.n_placed):
                n = self.placed[i].end - self.placed[i].start
                at[self.placed[i].group] += field_size(n)
            plan = [_ResourcePart.of(key, scopes, at) for key, scopes in self.resources.items()]
            total = 0
            for part in plan:
                total += field_size((<_ResourcePart>part).n)
            message = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>total)
            write_heads(<uint8_t *>PyBytes_AS_STRING(message), plan, at)
            self.write_spans(<uint8_t *>PyBytes_AS_STRING(message), at)
            return message
        finally:
            free(at)

    cdef void write_spans(self, uint8_t *p, size_t *at) noexcept:
        cdef size_t i, n
        cdef uint8_t *to
        for i in range(self.n_placed):
            n = self.placed[i].end - self.placed[i].start
            to = p + at[self.placed[i].group]
            to[0] = SPANS
            to += 1 + write_varint(to + 1, n)
            memcpy(to, self.out.p + self.placed[i].start, n)
            at[self.placed[i].group] = <size_t>(to - p) + n


cdef inline size_t field_size(size_t n) noexcept:
    """Of a message or text of so many bytes, its tag and its length included."""
    return 1 + varint_size(n) + n


cdef inline size_t schema_url_size(bytes url) noexcept:
    return field_size(<size_t>PyBytes_GET_SIZE(url)) if PyBytes_GET_SIZE(url) else 0


cdef class _ResourcePart:
    """A ResourceSpans message: `scopes` has the scope, the schema URL, the group and the size of each ScopeSpans."""

    cdef bytes resource, schema_url
    cdef list scopes
    cdef size_t n

    @staticmethod
    cdef _ResourcePart of(tuple key, dict scopes, size_t *n_spans_bytes):
        cdef _ResourcePart part = _ResourcePart()
        cdef size_t n
        part.resource, part.schema_url, part.scopes = key[0], utf8(key[1]), []
        part.n = field_size(<size_t>PyBytes_GET_SIZE(part.resource)) + schema_url_size(part.schema_url)
        for (scope, url), group in scopes.items():
            url = utf8(url)
            n = field_size(<size_t>PyBytes_GET_SIZE(scope)) + n_spans_bytes[<uint32_t>group] + schema_url_size(url)
            part.scopes.append((scope, url, group, n))
            part.n += field_size(n)
        return part


cdef int write_heads(uint8_t *p, list plan, size_t *at) except -1:
    """All but the spans; `at` has their sizes by group, and then where they begin."""
    cdef uint8_t *to = p
    cdef size_t n
    cdef uint32_t group
    cdef _ResourcePart part
    for part in plan:
        to[0] = RESOURCE_SPANS
        to += 1 + write_varint(to + 1, part.n)
        to = write_field(to, RESOURCE, part.resource)
        for scope, url, group, n in part.scopes:
            to[0] = SCOPE_SPANS
            to += 1 + write_varint(to + 1, n)
            to = write_field(to, SCOPE, scope)
            n = at[group]
            at[group] = <size_t>(to - p)
            to += n
            if url:
                to = write_field(to, SCHEMA_URL, url)
        if part.schema_url:
            to = write_field(to, SCHEMA_URL, part.schema_url)
    return 0


cdef uint8_t *write_field(uint8_t *to, uint8_t tag, bytes data) noexcept:
    cdef size_t n = <size_t>PyBytes_GET_SIZE(data)
    to[0] = tag
    to += 1 + write_varint(to + 1, n)
    memcpy(to, PyBytes_AS_STRING(data), n)
    return to + n
