/* base/map.h: from a number or a text to a thing.
 *
 * Zero is an empty map; one map has keys of one kind. Keys from outside cannot be chosen so
 * that they collide (base/hash.h). Deleting leaves no traces, so a map does not wear out.
 *
 * Threads   One thread owns a map.
 * Memory    The slots are on the heap: map_free. Texts and values are borrowed while they are in.
 * Errors    map_put: false without memory; the map is as before. */
#pragma once
#include "base/str.h"

struct map_slot;
struct map {
    struct map_slot *slots;
    size_t count, capacity;
};
void map_free(struct map *);

/* Null when it is not there; so values are never null. */
void *map_get(const struct map *, int64_t key);
void *map_get_text(const struct map *, struct str key);
/* Put it there, in the place of what was there before. */
bool map_put(struct map *, int64_t key, void *value) MUST_CHECK;
bool map_put_text(struct map *, struct str key, void *value) MUST_CHECK;
/* Take it out; null when it is not there. */
void *map_take(struct map *, int64_t key);
void *map_take_text(struct map *, struct str key);

/* for (size_t at = 0; (thing = map_next(&map, &at));) … in no order. The map must not change meanwhile. */
void *map_next(const struct map *, size_t *at);
