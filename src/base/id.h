/* base/id.h: chance, and the ids that are made of it.
 *
 * Threads   Any thread may ask.
 * Errors    None: without a source of chance the program ends. */
#pragma once
#include "base/str.h"

enum { UUID_BYTES = 36 };

/* From the kernel, good enough for keys; what was handed out is kept nowhere. */
void random_bytes(void *out, size_t count);
/* A version 4 UUID in lower case, in the arena. */
struct str uuid_new(struct arena *);
/* Any version, lower case only: the form that we give out. */
bool is_uuid(struct str);

/* Tests: from now on both give the same row for the same seed, on any thread; 0 = chance again. */
void id_test_seed(uint64_t seed);
