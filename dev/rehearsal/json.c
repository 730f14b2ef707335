#include "json.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 256

struct reader {
    struct json *json;
    size_t at;
    int open[DEPTH_MAX];   /* containers that are not closed yet */
    int last[DEPTH_MAX];   /* the youngest child of each */
    int depth;
};

static int node_add(struct reader *reader, enum json_kind kind, size_t start, size_t end)
{
    struct json *json = reader->json;
    if (json->count == json->room) {
        json->room = json->room ? json->room * 2 : 64;
        json->nodes = realloc(json->nodes, (size_t)json->room * sizeof json->nodes[0]);
        if (!json->nodes) abort();
    }
    int me = json->count++;
    json->nodes[me] = (struct json_node){kind, start, end, -1, -1};
    if (reader->depth > 0) {
        int *last = &reader->last[reader->depth - 1];
        if (*last < 0) json->nodes[reader->open[reader->depth - 1]].first = me;
        else json->nodes[*last].next = me;
        *last = me;
    }
    return me;
}

static bool read_string(struct reader *reader)
{
    const char *source = reader->json->source;
    size_t start = ++reader->at;
    while (reader->at < reader->json->len && source[reader->at] != '"')
        reader->at += source[reader->at] == '\\' ? 2 : 1;
    if (reader->at >= reader->json->len) return false;
    node_add(reader, JSON_STRING, start, reader->at++);
    return true;
}

static bool read_scalar(struct reader *reader)
{
    size_t start = reader->at;
    const char *source = reader->json->source;
    while (reader->at < reader->json->len && !strchr(" \t\r\n,:]}[{\"", source[reader->at])) reader->at++;
    if (reader->at == start) return false;
    bool number = source[start] == '-' || (source[start] >= '0' && source[start] <= '9');
    node_add(reader, number ? JSON_NUMBER : JSON_WORD, start, reader->at);
    return true;
}

/* A container ends: its node learns where, and its parent is the open one again. */
static bool read_close(struct reader *reader, char mark)
{
    if (reader->depth == 0) return false;
    struct json_node *node = &reader->json->nodes[reader->open[reader->depth - 1]];
    if ((mark == '}') != (node->kind == JSON_OBJECT)) return false;
    node->end = ++reader->at;
    reader->depth--;
    return true;
}

static bool read_open(struct reader *reader, char mark)
{
    if (reader->depth == DEPTH_MAX) return false;
    int me = node_add(reader, mark == '{' ? JSON_OBJECT : JSON_ARRAY, reader->at, reader->at);
    reader->open[reader->depth] = me;
    reader->last[reader->depth] = -1;
    reader->depth++;
    reader->at++;
    return true;
}

bool json_read(struct json *json, const char *source, size_t len)
{
    struct reader reader = {.json = json};
    *json = (struct json){.source = source, .len = len};

    while (reader.at < len) {
        char mark = source[reader.at];
        bool good = true;
        if (strchr(" \t\r\n,:", mark)) reader.at++;
        else if (mark == '{' || mark == '[') good = read_open(&reader, mark);
        else if (mark == '}' || mark == ']') good = read_close(&reader, mark);
        else if (mark == '"') good = read_string(&reader);
        else good = read_scalar(&reader);
        if (!good) return false;
    }
    return reader.depth == 0 && json->count > 0;
}

void json_free(struct json *json)
{
    free(json->nodes);
    *json = (struct json){0};
}

int json_first(const struct json *json, int node)
{
    return node < 0 ? -1 : json->nodes[node].first;
}

int json_next(const struct json *json, int node)
{
    return node < 0 ? -1 : json->nodes[node].next;
}

int json_get(const struct json *json, int object, const char *key)
{
    if (object < 0 || json->nodes[object].kind != JSON_OBJECT) return -1;
    for (int name = json_first(json, object); name >= 0;) {
        int value = json_next(json, name);
        if (json_is(json, name, key)) return value;
        name = json_next(json, value);
    }
    return -1;
}

bool json_is(const struct json *json, int node, const char *text)
{
    if (node < 0 || json->nodes[node].kind != JSON_STRING) return false;
    const struct json_node *it = &json->nodes[node];
    return it->end - it->start == strlen(text) && memcmp(json->source + it->start, text, strlen(text)) == 0;
}

bool json_true(const struct json *json, int node)
{
    if (node < 0 || json->nodes[node].kind != JSON_WORD) return false;
    return json->source[json->nodes[node].start] == 't';
}

static uint32_t hex4(const char *at, const char *end)
{
    uint32_t code = 0;
    for (int i = 0; i < 4 && at + i < end; i++) {
        char c = at[i];
        uint32_t digit = c >= 'a' ? (uint32_t)(c - 'a' + 10) : c >= 'A' ? (uint32_t)(c - 'A' + 10) : (uint32_t)(c - '0');
        code = code << 4 | (digit & 15);
    }
    return code;
}

static void add_utf8(struct text *out, uint32_t code)
{
    char bytes[4];
    size_t len;
    if (code < 0x80) {
        bytes[0] = (char)code;
        len = 1;
    } else if (code < 0x800) {
        bytes[0] = (char)(0xc0 | code >> 6);
        bytes[1] = (char)(0x80 | (code & 63));
        len = 2;
    } else if (code < 0x10000) {
        bytes[0] = (char)(0xe0 | code >> 12);
        bytes[1] = (char)(0x80 | (code >> 6 & 63));
        bytes[2] = (char)(0x80 | (code & 63));
        len = 3;
    } else {
        bytes[0] = (char)(0xf0 | code >> 18);
        bytes[1] = (char)(0x80 | (code >> 12 & 63));
        bytes[2] = (char)(0x80 | (code >> 6 & 63));
        bytes[3] = (char)(0x80 | (code & 63));
        len = 4;
    }
    text_add(out, bytes, len);
}

/* The escape behind a backslash at `at`; returns where the text goes on. */
static const char *add_escape(struct text *out, const char *at, const char *end)
{
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    if (*at == 'u') {
        uint32_t code = hex4(at + 1, end);
        at += 5;
        if (code >= 0xd800 && code < 0xdc00 && at + 6 <= end && at[0] == '\\' && at[1] == 'u') {
            code = 0x10000 + ((code & 0x3ff) << 10) + (hex4(at + 2, end) & 0x3ff);
            at += 6;
        }
        add_utf8(out, code);
        return at;
    }
    const char *known = strchr(from, *at);
    text_add(out, known && *known ? &to[known - from] : at, 1);
    return at + 1;
}

void json_text(const struct json *json, int node, struct text *out)
{
    if (node < 0 || json->nodes[node].kind != JSON_STRING) return;
    const char *at = json->source + json->nodes[node].start;
    const char *end = json->source + json->nodes[node].end;
    while (at < end) {
        const char *mark = memchr(at, '\\', (size_t)(end - at));
        if (!mark || mark + 1 >= end) mark = end;
        text_add(out, at, (size_t)(mark - at));
        at = mark < end ? add_escape(out, mark + 1, end) : end;
    }
}
