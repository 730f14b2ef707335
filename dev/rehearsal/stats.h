/* dev/rehearsal/stats.h: what was counted, and what tests wait for.
 *
 * Times are microseconds since 1970, so that another process on this machine
 * can compare them with its own. Everything lives as long as the program. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "text.h"

struct heard;

#define TAG_WRITES 256

struct tag {
    char name[64];
    long requests, open, open_peak, finished, broken;   /* broken: the peer left first */
    int64_t bytes, bytes_marked, bytes_after_close;
    int64_t last_request_at, last_write_at, last_close_at, marked_at;
    struct { int64_t at, bytes; } writes[TAG_WRITES];   /* the youngest: when, and the total then */
    long writes_count;
    struct text last;                                   /* the last request, as [[echo]] says it */
};

extern long open_connections;   /* idle ones too; those of all tags */

int64_t now_us(void);

/* The counters of a tag, made when it is first named; "" are those of all. */
struct tag *stats_tag(const char *name);
void stats_wrote(struct tag *tag, size_t bytes, bool after_close);

/* JSON of one tag. `since` > 0 adds the bytes written after that time. */
void stats_print(const struct tag *tag, int64_t since, struct text *out);

/* How often this directive text has been used with this tag, this time included. */
int stats_uses(const char *tag, const char *directive, size_t len);

bool gate_is_open(const char *name, size_t len);
void gate_set(const char *name, bool open);

/* A request as JSON: {"method","target","headers","body"}. */
void stats_describe(const struct heard *heard, struct text *out);
