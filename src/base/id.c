#include "base/id.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/random.h>

/* Drawn in bulk, because a system call for each nonce would cost more than the sealing. */
enum { BULK_BYTES = 1024 };
static _Thread_local unsigned char bulk[BULK_BYTES];
static _Thread_local size_t bulk_left;

static _Atomic uint64_t test_state;
static atomic_bool is_test;

static void draw(unsigned char *out, size_t count)
{
    while (count) {
        size_t part = count < 256 ? count : 256; /* up to here the kernel never gives less */
        if (getrandom(out, part, 0) != (ssize_t)part) abort();
        out += part, count -= part;
    }
}

static void draw_test(unsigned char *out, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t x = atomic_fetch_add(&test_state, 0x9e3779b97f4a7c15) + 0x9e3779b97f4a7c15;
        x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
        x = (x ^ x >> 27) * 0x94d049bb133111eb;
        out[i] = (unsigned char)(x >> 56);
    }
}

void random_bytes(void *out, size_t count)
{
    if (atomic_load_explicit(&is_test, memory_order_relaxed)) {
        draw_test(out, count);
    } else if (count > BULK_BYTES / 2) {
        draw(out, count);
    } else {
        if (bulk_left < count) {
            draw(bulk, BULK_BYTES);
            bulk_left = BULK_BYTES;
        }
        unsigned char *from = bulk + bulk_left - count;
        memcpy(out, from, count);
        explicit_bzero(from, count); /* it may become a key */
        bulk_left -= count;
    }
}

struct str uuid_new(struct arena *a)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char raw[16];
    random_bytes(raw, sizeof raw);
    raw[6] = (unsigned char)((raw[6] & 0x0F) | 0x40);
    raw[8] = (unsigned char)((raw[8] & 0x3F) | 0x80);
    char *text = arena_alloc(a, UUID_BYTES + 1), *p = text;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) *p++ = '-';
        *p++ = digits[raw[i] >> 4];
        *p++ = digits[raw[i] & 15];
    }
    return str_n(text, UUID_BYTES);
}

bool is_uuid(struct str s)
{
    if (s.count != UUID_BYTES) return false;
    for (size_t i = 0; i < s.count; i++) {
        char c = s.at[i];
        bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (is_dash ? c != '-' : !((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return false;
    }
    return true;
}

void id_test_seed(uint64_t seed)
{
    atomic_store(&test_state, seed);
    atomic_store(&is_test, seed != 0);
}
