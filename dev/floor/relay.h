/* dev/floor/relay.h: an upstream's answer, byte by byte. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct bytes { char *data; size_t len, room; };
void bytes_add(struct bytes *bytes, const void *data, size_t len);

enum relay_state { HEAD, SIZE, DATA, DATA_END, TRAILER };

struct relay {
    enum relay_state state;
    int newlines;             /* in HEAD and TRAILER: line ends in a row */
    size_t size;              /* of the chunk, or what is left of it */
    long events;
    size_t line_len;
    char line[1024];          /* one line of the stream, cut off when longer */
};

void relay_start(struct relay *relay);

/* Take what came. Words of the stream become events in `out`, unless it is
 * null. True when the answer is whole. */
bool relay_feed(struct relay *relay, const char *data, size_t len, struct bytes *out);
