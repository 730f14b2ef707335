/* base/hash.h: a hash that outside keys cannot steer.
 *
 * Whoever does not know the seed, drawn anew by each process, cannot choose keys that
 * collide; so tables of names from outside stay fast.
 *
 * Threads   Any. */
#pragma once
#include <stdint.h>
#include "base/str.h"

uint64_t hash_str(struct str);
uint64_t hash_int(int64_t);
