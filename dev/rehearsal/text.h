/* dev/rehearsal/text.h: bytes that grow.
 *
 * Memory    The holder owns `data`; text_free() gives it back. When there is
 *           no memory the program ends: it is a test tool with nothing to save.
 * Data is always followed by a zero byte that `len` does not count. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct text {
    char *data;
    size_t len;
    size_t room;
};

void text_free(struct text *text);
void text_add(struct text *text, const void *data, size_t len);
void text_put(struct text *text, const char *zero_ended);
void text_printf(struct text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Append as the inside of a JSON string, without the quotes. `ascii` writes
 * everything beyond ASCII as \u escapes, as some servers do. */
void text_add_escaped(struct text *text, const char *data, size_t len, bool ascii);

/* Append as a JSON string, quotes and all. */
void text_add_quoted(struct text *text, const char *data, size_t len);

/* Drop the first `len` bytes. */
void text_eat(struct text *text, size_t len);

/* Find without regard to case; null if it is not there. */
const char *text_find(const char *data, size_t len, const char *word);
