#include "relay.h"

#include <stdio.h>
#include <string.h>

void relay_start(struct relay *relay)
{
    relay->state = HEAD;
    relay->newlines = 0;
    relay->size = 0;
    relay->events = 0;
    relay->line_len = 0;
}

/* The word of a delta, still in its JSON escapes, as one event of ours. */
static void relay_line(struct relay *relay, struct bytes *out)
{
    static const char key[] = "\"content\":\"";
    static const char before[] = "{\"type\":\"chunk\",\"task_id\":\"02843b37-4d77-48a0-8da7-2c76afe54401\","
        "\"organization_id\":\"91fbe9bc-35b3-41e8-b59d-922fb5a0f031\",\"time\":\"2026-11-23T19:01:23.001000Z\",\"data\":\"";
    if (relay->line_len < 6 || memcmp(relay->line, "data: ", 6) != 0) return;
    const char *at = memmem(relay->line, relay->line_len, key, sizeof key - 1);
    if (!at) return;
    at += sizeof key - 1;
    const char *end = at, *stop = relay->line + relay->line_len;
    while (end < stop && *end != '"') end += *end == '\\' ? 2 : 1;
    if (end == at || end >= stop) return;

    char id[64], size[32];
    int id_len = snprintf(id, sizeof id, "id: 12345.1.%ld\ndata: ", ++relay->events);
    size_t word = (size_t)(end - at), whole = (size_t)id_len + sizeof before - 1 + word + 4;
    int size_len = snprintf(size, sizeof size, "%zx\r\n", whole);
    bytes_add(out, size, (size_t)size_len);
    bytes_add(out, id, (size_t)id_len);
    bytes_add(out, before, sizeof before - 1);
    bytes_add(out, at, word);
    bytes_add(out, "\"}\n\n\r\n", 6);
}

static void relay_data(struct relay *relay, const char *data, size_t len, struct bytes *out)
{
    while (len) {
        const char *end = memchr(data, '\n', len);
        size_t piece = end ? (size_t)(end - data) : len;
        size_t keep = piece < sizeof relay->line - relay->line_len ? piece : sizeof relay->line - relay->line_len;
        memcpy(relay->line + relay->line_len, data, keep);
        relay->line_len += keep;
        if (!end) return;
        relay_line(relay, out);
        relay->line_len = 0;
        data += piece + 1;
        len -= piece + 1;
    }
}

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool relay_feed(struct relay *relay, const char *data, size_t len, struct bytes *out)
{
    for (size_t i = 0; i < len; i++) {
        char c = data[i];
        switch (relay->state) {
        case HEAD:
        case TRAILER:
            relay->newlines = c == '\n' ? relay->newlines + 1 : c == '\r' ? relay->newlines : 0;
            if (relay->state == TRAILER && relay->newlines == 1) return true;
            if (relay->newlines == 2) relay->state = SIZE;
            break;
        case SIZE:
            if (digit(c) >= 0) relay->size = relay->size * 16 + (size_t)digit(c);
            if (c != '\n') break;
            relay->newlines = 0;
            relay->state = relay->size ? DATA : TRAILER;
            break;
        case DATA: {
            size_t piece = len - i < relay->size ? len - i : relay->size;
            if (out) relay_data(relay, data + i, piece, out);
            i += piece - 1;
            relay->size -= piece;
            if (relay->size == 0) relay->state = DATA_END;
            break;
        }
        case DATA_END:
            if (c == '\n') relay->state = SIZE;
            break;
        }
    }
    return false;
}
