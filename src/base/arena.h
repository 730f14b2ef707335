/* base/arena.h: memory that is given back all at once.
 *
 * A request, a run and a test own one arena each; results live in it and
 * nobody frees them one by one.
 *
 * Threads   One thread owns an arena.
 * Memory    arena_alloc() never returns null: when malloc fails, it lends from a
 *           reserve that the process mapped at start and marks the arena
 *           exhausted. Every wait (db_write, reply, …) refuses an exhausted arena
 *           with ERR_MEMORY, so nothing is changed on behalf of a request that
 *           ran out. What outside data may make large (> 64 KiB) is asked for with
 *           arena_try_alloc(), which may return null.
 * Secrets   An arena with `wipe` set is overwritten before its memory goes back. */
#pragma once
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include "base/err.h"

struct arena_chunk;
struct arena {
    struct arena_chunk *chunk; /* newest first */
    bool wipe;
    bool exhausted;
    size_t total_bytes;        /* lent by malloc for all chunks */
};
struct arena_mark {
    struct arena_chunk *chunk;
    size_t used;
};

/* An empty arena. It takes memory when first asked. */
struct arena arena_new(void);
void arena_free(struct arena *);

/* Aligned for any type, zeroed. Sizes up to 64 KiB. */
void *arena_alloc(struct arena *, size_t bytes);
/* As above, any size; null when there is no memory. */
void *arena_try_alloc(struct arena *, size_t bytes) MUST_CHECK;

/* Give back everything that was taken since the mark. */
struct arena_mark arena_mark(struct arena *);
void arena_rewind(struct arena *, struct arena_mark);

/* Take over everything in `from` (made by arena_try_alloc alone, perhaps on another thread), which
 * is empty afterwards. What it holds stays where it is, and goes when this arena does. */
void arena_adopt(struct arena *, struct arena *from);

/* printf into the arena; the result ends with a zero byte. */
char *arena_printf(struct arena *, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define NEW(arena, type) ((type *)arena_alloc((arena), sizeof(type)))
/* err() with a formatted sentence. */
#define errf(arena, code, ...) err((code), arena_printf((arena), __VA_ARGS__))

/* Tests make the n-th malloc of every arena fail (0 = never). */
extern _Thread_local long arena_fail_at;
