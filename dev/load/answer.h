/* dev/load/answer.h: an HTTP answer as it arrives. Pure; keeps only what it needs. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum answer_state { ANSWER_HEAD, ANSWER_BODY, ANSWER_SIZE, ANSWER_CHUNK, ANSWER_CHUNK_END, ANSWER_TRAILER, ANSWER_WHOLE };

struct answer {
    enum answer_state state;
    int status;
    bool keep_alive, chunked;
    size_t left;              /* of the body or the chunk */
    bool until_close;
    long events;              /* lines that begin with "data:" */
    size_t line_len;          /* of the current line; only its first 512 bytes are kept */
    char line[512];           /* a header line, or the line of a stream */
};

/* Called at each whole line of a body that is a stream; may be null. */
typedef void line_fn(void *arg, const char *line, size_t len);

void answer_start(struct answer *answer);

/* Takes bytes; returns how many belong to this answer (all, unless it ended). */
size_t answer_feed(struct answer *answer, const char *data, size_t len, line_fn *on_line, void *arg);
