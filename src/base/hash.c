#include "base/hash.h"
#include <stdlib.h>
#include <sys/random.h>

/* SipHash-1-3: the weakest form without a known way to collide keys on purpose; a plain
 * multiplication would be faster and could be steered by timing replies. */
static uint64_t seed[2];

__attribute__((constructor)) static void draw_seed(void)
{
    if (getrandom(seed, sizeof seed, 0) != (ssize_t)sizeof seed) abort();
}

struct sip {
    uint64_t a, b, c, d;
};

static inline uint64_t turn(uint64_t x, int by) { return x << by | x >> (64 - by); }

static inline void mix(struct sip *s)
{
    s->a += s->b, s->c += s->d;
    s->b = turn(s->b, 13) ^ s->a, s->d = turn(s->d, 16) ^ s->c;
    s->a = turn(s->a, 32);
    s->c += s->b, s->a += s->d;
    s->b = turn(s->b, 17) ^ s->c, s->d = turn(s->d, 21) ^ s->a;
    s->c = turn(s->c, 32);
}

static inline void take(struct sip *s, uint64_t word)
{
    s->d ^= word;
    mix(s);
    s->a ^= word;
}

static inline struct sip start(void)
{
    return (struct sip){seed[0] ^ 0x736f6d6570736575, seed[1] ^ 0x646f72616e646f6d, seed[0] ^ 0x6c7967656e657261,
                        seed[1] ^ 0x7465646279746573};
}

static inline uint64_t finish(struct sip *s)
{
    s->c ^= 0xff;
    for (int i = 0; i < 3; i++) mix(s);
    return s->a ^ s->b ^ s->c ^ s->d;
}

uint64_t hash_str(struct str text)
{
    struct sip s = start();
    size_t i = 0;
    uint64_t word;
    for (; i + 8 <= text.count; i += 8) {
        memcpy(&word, text.at + i, 8);
        take(&s, word);
    }
    word = 0;
    if (i < text.count) memcpy(&word, text.at + i, text.count - i);
    take(&s, word | (uint64_t)text.count << 56);
    return finish(&s);
}

uint64_t hash_int(int64_t value)
{
    struct sip s = start();
    take(&s, (uint64_t)value);
    return finish(&s);
}
