/* store/reserve.h: room on the disk that is kept for deletes.
 *
 * A file of a fixed length. When a delete meets a full disk it is given up, and from then on nothing but deletes is
 * written, until it could be made again: or others would use up what was given.
 *
 * Threads   The loop's; reserve_make may wait. */
#pragma once
#include "base/err.h"
#include "io/ctx.h"

struct reserve {
    const char *path;
    int64_t bytes;     /* 0: none is kept */
    bool is_given;     /* there is none, and there should be */
    int64_t given;     /* how often */
};
/* When it is not there as it should be: make it. ERR_FULL and the like: there is no room; it stays given. */
struct err reserve_make(struct ctx *, struct reserve *) MUST_CHECK;
void reserve_give(struct reserve *);
