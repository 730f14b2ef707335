#include "base/arena.h"
#include <assert.h>
#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Chunks double from 1 KiB, so that an idle stream costs little and a large
 * request few mallocs. A chunk from the reserve is never given back to malloc. */
enum { FIRST_BYTES = 1024, LARGEST_BYTES = 1 << 16, RESERVE_BYTES = 1 << 20 };

struct arena_chunk {
    struct arena_chunk *older;
    size_t size, used; /* of bytes[] */
    size_t dirty;      /* what lies behind it is zero already */
    bool reserve;
    alignas(max_align_t) unsigned char bytes[];
};

_Thread_local long arena_fail_at;

/* The reserve is per thread: one bump area, whole again when nobody holds a part of it. */
static _Thread_local unsigned char *reserve;
static _Thread_local size_t reserve_used, reserve_lent;

static struct arena_chunk *chunk_from_reserve(size_t size)
{
    size_t need = (sizeof(struct arena_chunk) + size + 15) & ~(size_t)15;
    if (!reserve) {
        reserve = mmap(NULL, RESERVE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (reserve == MAP_FAILED) abort();
    }
    if (need > RESERVE_BYTES - reserve_used) abort(); /* nothing left to say so with */
    struct arena_chunk *c = (struct arena_chunk *)(void *)(reserve + reserve_used);
    reserve_used += need;
    reserve_lent++;
    return c;
}

static bool grow(struct arena *a, size_t bytes, bool may_fail)
{
    size_t size = a->chunk ? a->chunk->size * 2 : FIRST_BYTES;
    if (size > LARGEST_BYTES) size = LARGEST_BYTES;
    if (size < bytes) size = bytes;
    if (size > SIZE_MAX / 2) return false;
    bool refused = arena_fail_at > 0 && --arena_fail_at == 0;
    /* A large block comes from the kernel, zeroed: what nobody writes to costs no memory. */
    bool is_large = size > LARGEST_BYTES;
    struct arena_chunk *c = refused ? NULL : is_large ? calloc(1, sizeof *c + size) : malloc(sizeof *c + size);
    bool from_reserve = !c;
    if (!c) {
        if (may_fail) return false;
        a->exhausted = true;
        size = bytes;
        c = chunk_from_reserve(size);
    }
    *c = (struct arena_chunk){
        .older = a->chunk, .size = size, .reserve = from_reserve, .dirty = is_large && !from_reserve ? 0 : size};
    a->chunk = c;
    a->total_bytes += size;
    return true;
}

static void drop_chunk(struct arena *a)
{
    struct arena_chunk *c = a->chunk;
    a->chunk = c->older;
    a->total_bytes -= c->size;
    if (a->wipe) explicit_bzero(c->bytes, c->used);
    if (!c->reserve) {
        free(c);
    } else if (--reserve_lent == 0) {
        reserve_used = 0;
    }
}

struct arena arena_new(void) { return (struct arena){0}; }

void arena_free(struct arena *a)
{
    while (a->chunk) drop_chunk(a);
    a->exhausted = false;
}

static void *take(struct arena *a, size_t bytes, bool may_fail)
{
    size_t room = alignof(max_align_t);
    size_t want = bytes ? (bytes + room - 1) & ~(room - 1) : room;
    if (want < bytes) return NULL;
    if (!a->chunk || a->chunk->size - a->chunk->used < want)
        if (!grow(a, want, may_fail)) return NULL;
    struct arena_chunk *c = a->chunk;
    unsigned char *p = c->bytes + c->used;
    if (c->used < c->dirty) memset(p, 0, bytes);
    c->used += want;
    return p;
}

void *arena_alloc(struct arena *a, size_t bytes)
{
    assert(bytes <= LARGEST_BYTES);
    return take(a, bytes, false);
}

void *arena_try_alloc(struct arena *a, size_t bytes) { return take(a, bytes, true); }

struct arena_mark arena_mark(struct arena *a)
{
    return (struct arena_mark){a->chunk, a->chunk ? a->chunk->used : 0};
}

void arena_rewind(struct arena *a, struct arena_mark mark)
{
    while (a->chunk != mark.chunk) drop_chunk(a);
    struct arena_chunk *c = a->chunk;
    if (!c) return;
    if (a->wipe) explicit_bzero(c->bytes + mark.used, c->used - mark.used);
    if (c->dirty < c->used) c->dirty = c->used;
    c->used = mark.used;
}

/* On top of our own chunks, so that a rewind to an older mark drops them like any others. */
void arena_adopt(struct arena *a, struct arena *from)
{
    if (!from->chunk) return;
    struct arena_chunk *oldest = from->chunk;
    while (oldest->older) oldest = oldest->older;
    oldest->older = a->chunk;
    a->chunk = from->chunk;
    a->total_bytes += from->total_bytes;
    *from = (struct arena){.wipe = from->wipe};
}

char *arena_printf(struct arena *a, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char small[512];
    int n = vsnprintf(small, sizeof small, format, args);
    va_end(args);
    if (n < 0) n = 0;
    size_t size = (size_t)n + 1;
    if (size > LARGEST_BYTES) size = LARGEST_BYTES; /* sentences, never documents */
    char *text = arena_alloc(a, size);
    va_start(args, format);
    vsnprintf(text, size, format, args);
    va_end(args);
    return text;
}
