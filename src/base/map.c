#include "base/map.h"
#include <assert.h>
#include <stdlib.h>
#include "base/hash.h"

/* Open addressing with linear steps, at most three quarters full. A number is kept as a text
 * without a place, whose count it is. */
struct map_slot {
    void *value; /* null = free */
    uint64_t hash;
    struct str key;
};
enum { CAPACITY_FIRST = 16 };

static struct str number_key(int64_t number) { return (struct str){NULL, (size_t)number}; }
static struct str text_key(struct str text) { return (struct str){text.at ? text.at : "", text.count}; }
static uint64_t hash_key(struct str key) { return key.at ? hash_str(key) : hash_int((int64_t)key.count); }

static bool is_key(const struct map_slot *slot, uint64_t hash, struct str key)
{
    if (slot->hash != hash || slot->key.count != key.count) return false;
    return !key.at || memcmp(slot->key.at, key.at, key.count) == 0;
}

/* Where the key is, or the free slot where it would be. */
static struct map_slot *find(const struct map *m, uint64_t hash, struct str key)
{
    size_t mask = m->capacity - 1, i = hash & mask;
    while (m->slots[i].value && !is_key(&m->slots[i], hash, key)) i = (i + 1) & mask;
    return &m->slots[i];
}

static bool grow(struct map *m)
{
    struct map larger = {.capacity = m->capacity ? m->capacity * 2 : CAPACITY_FIRST, .count = m->count};
    larger.slots = calloc(larger.capacity, sizeof *larger.slots);
    if (!larger.slots) return false;
    for (size_t i = 0; i < m->capacity; i++)
        if (m->slots[i].value) *find(&larger, m->slots[i].hash, m->slots[i].key) = m->slots[i];
    free(m->slots);
    *m = larger;
    return true;
}

static void *get(const struct map *m, struct str key) { return m->count ? find(m, hash_key(key), key)->value : NULL; }

static bool put(struct map *m, struct str key, void *value)
{
    assert(value);
    if (m->count + 1 > m->capacity / 4 * 3 && !grow(m)) return false;
    uint64_t hash = hash_key(key);
    struct map_slot *slot = find(m, hash, key);
    m->count += !slot->value;
    *slot = (struct map_slot){value, hash, key};
    return true;
}

/* What stands behind moves up where its way from home leads over the gap; so no marks are left. */
static void *take(struct map *m, struct str key)
{
    if (!m->count) return NULL;
    size_t mask = m->capacity - 1, gap = (size_t)(find(m, hash_key(key), key) - m->slots);
    void *value = m->slots[gap].value;
    if (!value) return NULL;
    for (size_t i = (gap + 1) & mask; m->slots[i].value; i = (i + 1) & mask) {
        size_t from_home = (i - m->slots[i].hash) & mask;
        if (from_home < ((i - gap) & mask)) continue;
        m->slots[gap] = m->slots[i];
        gap = i;
    }
    m->slots[gap] = (struct map_slot){0};
    m->count--;
    return value;
}

void map_free(struct map *m)
{
    free(m->slots);
    *m = (struct map){0};
}

void *map_get(const struct map *m, int64_t key) { return get(m, number_key(key)); }
void *map_get_text(const struct map *m, struct str key) { return get(m, text_key(key)); }
bool map_put(struct map *m, int64_t key, void *value) { return put(m, number_key(key), value); }
bool map_put_text(struct map *m, struct str key, void *value) { return put(m, text_key(key), value); }
void *map_take(struct map *m, int64_t key) { return take(m, number_key(key)); }
void *map_take_text(struct map *m, struct str key) { return take(m, text_key(key)); }

void *map_next(const struct map *m, size_t *at)
{
    while (*at < m->capacity) {
        void *value = m->slots[(*at)++].value;
        if (value) return value;
    }
    return NULL;
}
