/* dev/rehearsal/http.h: one request out of the bytes that came. Pure. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "text.h"

struct request {
    char method[16];
    char target[1024];
    const char *head;        /* header lines, borrowed from the input */
    size_t head_len;
    struct text body;        /* owned by the request */
    size_t used;             /* bytes of input it took */
    bool keep_alive;
    bool wants_continue;     /* Expect: 100-continue, and the body is not here yet */
};

enum parsed { PARSED_WHOLE, PARSED_MORE, PARSED_BROKEN };

enum parsed request_parse(struct request *request, const char *data, size_t len);

/* A header's value; null if there is none. */
const char *request_header(const struct request *request, const char *name, size_t *len);

/* A query parameter, percent-decoded; the empty text if there is none. */
void request_query(const struct request *request, const char *name, char *out, size_t room);
