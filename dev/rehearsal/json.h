/* dev/rehearsal/json.h: reading what a client sent.
 *
 * A document is a flat array of nodes over the source text, which is borrowed
 * and must stay. Node 0 is the root. In an object the children are key, value,
 * key, value. An index of -1 is "not there", and every call takes it. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "text.h"

enum json_kind { JSON_OBJECT, JSON_ARRAY, JSON_STRING, JSON_NUMBER, JSON_WORD };

struct json_node {
    enum json_kind kind;
    size_t start, end;   /* in the source; strings without their quotes */
    int first;           /* first child, or -1 */
    int next;            /* next sibling, or -1 */
};

struct json {
    const char *source;
    size_t len;
    struct json_node *nodes;
    int count, room;
};

/* False when the text is no JSON, or nests deeper than 256. */
bool json_read(struct json *json, const char *source, size_t len);
void json_free(struct json *json);

int json_get(const struct json *json, int object, const char *key);
int json_first(const struct json *json, int node);
int json_next(const struct json *json, int node);

/* The string's own text is appended to `out`; anything else adds nothing. */
void json_text(const struct json *json, int node, struct text *out);
bool json_is(const struct json *json, int node, const char *text);
bool json_true(const struct json *json, int node);
