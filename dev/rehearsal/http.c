#include "http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HEAD_MAX 65536
#define BODY_MAX (256ul << 20)

const char *request_header(const struct request *request, const char *name, size_t *len)
{
    const char *at = request->head, *end = at + request->head_len;
    size_t want = strlen(name);
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (!stop) stop = end;
        if ((size_t)(stop - at) > want && at[want] == ':' && strncasecmp(at, name, want) == 0) {
            const char *value = at + want + 1, *value_end = stop;
            while (value < value_end && *value == ' ') value++;
            while (value_end > value && (value_end[-1] == '\r' || value_end[-1] == ' ')) value_end--;
            *len = (size_t)(value_end - value);
            return value;
        }
        at = stop + 1;
    }
    return NULL;
}

static bool header_has(const struct request *request, const char *name, const char *word)
{
    size_t len;
    const char *value = request_header(request, name, &len);
    return value && text_find(value, len, word) != NULL;
}

/* Chunked: sizes in hexadecimal, until the zero one. */
static enum parsed read_chunks(struct request *request, const char *data, size_t len)
{
    size_t at = request->used;
    for (;;) {
        const char *line_end = memchr(data + at, '\n', len - at);
        if (!line_end) return PARSED_MORE;
        size_t size = strtoul(data + at, NULL, 16);
        if (size > BODY_MAX) return PARSED_BROKEN;
        at = (size_t)(line_end - data) + 1;
        if (len - at < size + 2) return PARSED_MORE;
        text_add(&request->body, data + at, size);
        at += size + 2;
        if (size == 0) break;
    }
    request->used = at;
    return PARSED_WHOLE;
}

static enum parsed read_body(struct request *request, const char *data, size_t len)
{
    size_t value_len;
    if (header_has(request, "transfer-encoding", "chunked")) return read_chunks(request, data, len);
    const char *value = request_header(request, "content-length", &value_len);
    if (!value) return PARSED_WHOLE;
    size_t size = strtoul(value, NULL, 10);
    if (size > BODY_MAX) return PARSED_BROKEN;
    if (len - request->used < size) return PARSED_MORE;
    text_add(&request->body, data + request->used, size);
    request->used += size;
    return PARSED_WHOLE;
}

enum parsed request_parse(struct request *request, const char *data, size_t len)
{
    *request = (struct request){.keep_alive = true};
    const char *head_end = len ? memmem(data, len, "\r\n\r\n", 4) : NULL;
    if (!head_end) return len > HEAD_MAX ? PARSED_BROKEN : PARSED_MORE;

    const char *line_end = memchr(data, '\n', len);
    if (sscanf(data, "%15[A-Z] %1023[^ \r\n]", request->method, request->target) != 2) return PARSED_BROKEN;
    request->head = line_end + 1;
    request->head_len = line_end < head_end ? (size_t)(head_end + 2 - request->head) : 0;
    request->used = (size_t)(head_end - data) + 4;
    request->keep_alive = !header_has(request, "connection", "close");

    enum parsed parsed = read_body(request, data, len);
    if (parsed == PARSED_MORE) request->wants_continue = header_has(request, "expect", "100-continue");
    if (parsed != PARSED_WHOLE) text_free(&request->body);
    return parsed;
}

static int hex(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : 0;
}

void request_query(const struct request *request, const char *name, char *out, size_t room)
{
    size_t want = strlen(name), len = 0;
    out[0] = 0;
    const char *at = strchr(request->target, '?');
    while (at) {
        at++;
        const char *end = strchrnul(at, '&');
        if ((size_t)(end - at) > want && strncmp(at, name, want) == 0 && at[want] == '=') {
            for (at += want + 1; at < end && len + 1 < room; at++) {
                char c = *at == '+' ? ' ' : *at;
                if (c == '%' && end - at > 2) {
                    c = (char)(hex(at[1]) << 4 | hex(at[2]));
                    at += 2;
                }
                out[len++] = c;
            }
            out[len] = 0;
            return;
        }
        at = *end ? end : NULL;
    }
}
