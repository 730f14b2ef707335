/* net/head.h: the head of a response, line by line; and which header fields may be sent. Pure. */
#pragma once
#include "base/err.h"
#include "base/str.h"

enum { HEAD_BYTES_MAX = 64 * 1024 };
struct head { /* zero is one of which nothing has come */
    int status;
    bool is_whole;
    struct buf fields; /* "Name: value" lines, each with its end */
};
/* The next line, with its end. Heads that only announce (1xx) are forgotten; what follows a whole
 * head (trailers) too. ERR_LIMIT: too large. ERR_UPSTREAM: no status line. */
struct err head_add(struct head *, struct str line) MUST_CHECK;
/* By its name in lower case, without white space around it; empty when absent. Repeated: the first. */
struct str head_field(const struct head *, const char *name);
void head_free(struct head *);

/* The name is a token, the value has no control characters, and the field is not one by which a
 * message is framed or its connection kept: those are ours. */
bool head_may_send(struct str name, struct str value);
