/* base/err.h: how anything in this program fails.
 *
 * A function that can fail returns `struct err` by value. It is two machine
 * words, so returning one costs no allocation and hides no global state.
 * `what` is one English sentence without a full stop: either a literal, or
 * text in the arena of the caller's context, so nobody ever frees it. */
#pragma once
#include <stdbool.h>

enum err_code {
    ERR_NONE = 0,
    ERR_INVALID,     /* the caller's input breaks a documented rule           */
    ERR_DENIED,      /* the caller is known, and may not do this              */
    ERR_UNKNOWN_KEY, /* the caller is not known                               */
    ERR_NOT_FOUND,   /* no such thing, or not visible to this caller          */
    ERR_CONFLICT,    /* true when asked, but the state has moved on           */
    ERR_LIMIT,       /* a configured bound was reached; says which            */
    ERR_BUSY,        /* not now: stopping, too many runs, not at rest in time */
    ERR_TIMEOUT,     /* the deadline of the context passed                    */
    ERR_CANCELLED,   /* the scope was cancelled: unwind, do not retry         */
    ERR_CLOSED,      /* the other side hung up                                */
    ERR_UPSTREAM,    /* a model, tool or database answered wrongly            */
    ERR_MEMORY,      /* no memory for this request                            */
    ERR_FULL,        /* no space on the disk for an accepted change           */
    ERR_IO,          /* the kernel said no                                    */
    ERR_GONE,        /* it was there, and was deleted                         */
    ERR_QUOTA,       /* past a limit that the operator has set for the caller */
};
struct err {
    enum err_code code;
    const char *what;
};

#define MUST_CHECK __attribute__((warn_unused_result))
#define OK ((struct err){ERR_NONE, 0})

static inline struct err err(enum err_code code, const char *what)
{
    return (struct err){code, what};
}
static inline bool failed(struct err e) { return e.code != ERR_NONE; }

/* The only macro in the project that may leave a function. */
#define TRY(expr)                       \
    do {                                \
        struct err try_ = (expr);       \
        if (failed(try_)) return try_;  \
    } while (0)
