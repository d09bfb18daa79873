/* The WebSocket load in C: connections that send a text, wait for its echo, compare it and send again (RFC 6455).
 *
 *     websocket_load HOST PORT PATH CONNECTIONS SECONDS TEXT
 *
 * Does and prints what bench/websocket_load.py does, for half of the processor time per message, so that a server can be
 * saturated from one core. HOST is an IPv4 address; TEXT is at most 65,535 bytes. bench/load.py compiles it where there is a
 * compiler. Linux only.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { TEXT = 0x81, CLOSE = 0x88, PING = 0x89, PONG = 0x8A, MASKED = 0x80, CONTROL_MAX = 125, TEXT_MAX = 65535, EVENTS = 64 };

/* RFC 6455 section 1.3: the key of the example, and what a server has to make of it. */
static const char KEY[] = "dGhlIHNhbXBsZSBub25jZQ==";
static const char ACCEPT[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
static const double PATIENCE_S = 10.0; /* for an answer to the handshake, and for the last echo after the deadline */

struct connection {
    int socket;
    int ended;
    uint64_t sent_ns;
    uint8_t *frame; /* the text as a masked frame */
    uint8_t *room;  /* what has arrived of the next frame */
    size_t held;
};

static const uint8_t *text;
static size_t text_size, header_size, frame_size, room_size;
static uint32_t *times_ns; /* how long each round took */
static size_t count, capacity;

static void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

static void *allocate(void *old, size_t size) {
    void *memory = realloc(old, size);
    if (memory == NULL) fail("no memory for %zu bytes", size);
    return memory;
}

static uint64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void send_all(int socket, const uint8_t *data, size_t size) {
    /* One message is under way on each connection, which fits into the socket's buffer. */
    ssize_t sent = send(socket, data, size, MSG_NOSIGNAL);
    if (sent != (ssize_t)size) fail("the connection broke while sending: %s", sent < 0 ? strerror(errno) : "a part was sent");
}

static uint32_t next_mask(void) {
    static uint32_t state = 2463534242u; /* xorshift: the same masks in every run */
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}

/* A masked frame of the given payload; returns its size. */
static size_t make_frame(uint8_t *frame, uint8_t first, const uint8_t *payload, size_t size) {
    size_t start = 2;
    uint8_t mask[4];
    uint32_t value = next_mask();
    memcpy(mask, &value, 4);
    frame[0] = first;
    if (size <= CONTROL_MAX) {
        frame[1] = (uint8_t)(MASKED | size);
    } else {
        frame[1] = MASKED | 126;
        frame[2] = (uint8_t)(size >> 8);
        frame[3] = (uint8_t)size;
        start = 4;
    }
    memcpy(frame + start, mask, 4);
    for (size_t i = 0; i < size; i++) frame[start + 4 + i] = payload[i] ^ mask[i % 4];
    return start + 4 + size;
}

static void open_connection(struct connection *connection, const struct sockaddr_in *address, const char *host, const char *path) {
    char head[4096];
    struct timeval patience = {.tv_sec = (time_t)PATIENCE_S};
    int one = 1;
    size_t held = 0;
    connection->socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection->socket < 0) fail("socket: %s", strerror(errno));
    setsockopt(connection->socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(connection->socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(connection->socket, (const struct sockaddr *)address, sizeof *address)) fail("connect: %s", strerror(errno));
    int size = snprintf(head, sizeof head,
                        "GET %s HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n",
                        path, host, ntohs(address->sin_port), KEY);
    if (size < 0 || (size_t)size >= sizeof head) fail("the path is too long");
    send_all(connection->socket, (const uint8_t *)head, (size_t)size);
    while (held < sizeof head - 1) {
        /* Byte by byte: a frame may follow the head. */
        if (recv(connection->socket, head + held, 1, 0) != 1) fail("no answer to the handshake");
        head[++held] = 0;
        if (held >= 4 && memcmp(head + held - 4, "\r\n\r\n", 4) == 0) break;
    }
    if (strncmp(head, "HTTP/1.1 101", 12) != 0 || strstr(head, ACCEPT) == NULL) fail("the handshake was refused: %.60s", head);
    connection->frame = allocate(NULL, frame_size);
    make_frame(connection->frame, TEXT, text, text_size);
    connection->room = allocate(NULL, room_size);
}

static void start_round(struct connection *connection) {
    connection->sent_ns = now_ns();
    send_all(connection->socket, connection->frame, frame_size);
}

/* Looks at a whole frame; returns its size. An echo ends a round, a ping gets its pong, anything else is a fault. */
static size_t take_frame(struct connection *connection, const uint8_t *frame, size_t held, uint64_t deadline_ns) {
    size_t start = 2, size;
    if (held < 2) return 0;
    size = frame[1];
    if (size & MASKED) fail("the echo differs: a server does not mask");
    if (size == 126) {
        if (held < 4) return 0;
        size = (size_t)frame[2] << 8 | frame[3];
        start = 4;
    }
    if (frame[0] == PING && size <= CONTROL_MAX) {
        uint8_t pong[6 + CONTROL_MAX];
        if (held < start + size) return 0;
        send_all(connection->socket, pong, make_frame(pong, PONG, frame + start, size));
        return start + size;
    }
    if (frame[0] != TEXT || size != text_size || start != header_size) {
        fail("the echo differs: a frame %02x of %zu bytes", frame[0], size);
    }
    if (held < start + size) return 0;
    if (memcmp(frame + start, text, size) != 0) fail("the echo differs: its text does");
    uint64_t now = now_ns();
    if (count == capacity) times_ns = allocate(times_ns, (capacity *= 2) * sizeof *times_ns);
    times_ns[count++] = (uint32_t)(now - connection->sent_ns);
    if (now < deadline_ns) {
        start_round(connection);
    } else {
        connection->ended = 1;
    }
    return start + size;
}

/* Takes what has arrived; returns whether this was the connection's last round. */
static int read_frames(struct connection *connection, uint64_t deadline_ns) {
    ssize_t got = recv(connection->socket, connection->room + connection->held, room_size - connection->held, 0);
    if (got <= 0) fail("the connection broke");
    connection->held += (size_t)got;
    size_t position = 0, taken;
    while (!connection->ended && (taken = take_frame(connection, connection->room + position, connection->held - position, deadline_ns))) {
        position += taken;
    }
    connection->held -= position;
    if (connection->held && position) memmove(connection->room, connection->room + position, connection->held);
    return connection->ended;
}

static int compare(const void *left, const void *right) {
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

int main(int argc, char **argv) {
    if (argc != 7) fail("usage: %s HOST PORT PATH CONNECTIONS SECONDS TEXT", argv[0]);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2]))};
    int total = atoi(argv[4]);
    double seconds = atof(argv[5]);
    text = (const uint8_t *)argv[6];
    text_size = strlen(argv[6]);
    if (inet_pton(AF_INET, argv[1], &address.sin_addr) != 1 || total < 1 || text_size > TEXT_MAX) fail("wrong arguments");
    header_size = text_size <= CONTROL_MAX ? 2 : 4;
    frame_size = header_size + 4 + text_size;
    room_size = header_size + text_size + 2 + CONTROL_MAX; /* an echo, and a ping before it */
    capacity = 1 << 20;
    times_ns = allocate(NULL, capacity * sizeof *times_ns);

    struct connection *connections = calloc((size_t)total, sizeof *connections);
    if (connections == NULL) fail("no memory for %d connections", total);
    int poll = epoll_create1(EPOLL_CLOEXEC);
    if (poll < 0) fail("epoll_create1: %s", strerror(errno));
    for (int i = 0; i < total; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &connections[i]};
        open_connection(&connections[i], &address, argv[1], argv[3]);
        if (epoll_ctl(poll, EPOLL_CTL_ADD, connections[i].socket, &event)) fail("epoll_ctl: %s", strerror(errno));
    }
    uint64_t started_ns = now_ns();
    uint64_t deadline_ns = started_ns + (uint64_t)(seconds * 1e9);
    for (int i = 0; i < total; i++) start_round(&connections[i]);
    for (int left = total; left > 0;) {
        struct epoll_event events[EVENTS];
        /* Without sleeping: a load that sleeps makes the server pay for waking it, the more the sooner the server answers each. */
        int ready = epoll_wait(poll, events, EVENTS, 0);
        if (ready < 0 && errno != EINTR) fail("epoll_wait: %s", strerror(errno));
        if (now_ns() > deadline_ns + (uint64_t)(PATIENCE_S * 1e9)) fail("no echo for %.0f s", PATIENCE_S);
        for (int i = 0; i < ready; i++) {
            struct connection *connection = events[i].data.ptr;
            if (read_frames(connection, deadline_ns)) {
                epoll_ctl(poll, EPOLL_CTL_DEL, connection->socket, NULL);
                left--;
            }
        }
    }
    double elapsed_us = (double)(now_ns() - started_ns) / 1e3;
    for (int i = 0; i < total; i++) {
        uint8_t bye[6];
        send_all(connections[i].socket, bye, make_frame(bye, CLOSE, NULL, 0));
        close(connections[i].socket);
    }
    qsort(times_ns, count, sizeof *times_ns, compare);
    printf("RESULT {\"count\": %zu, \"elapsed_us\": %.0f, \"p50_us\": %.1f, \"p99_us\": %.1f, \"errors\": 0, \"refused\": 0}\n", count,
           elapsed_us, times_ns[count / 2] / 1e3, times_ns[count * 99 / 100] / 1e3);
    return 0;
}
