/* store/batch.h: the inside of a batch, for the databases behind store/db.h. */
#pragma once
#include "store/db.h"

struct step {
    struct step *next;
    const char *sql;
    struct args args;
    int64_t expected;
    int64_t changed;  /* written by the database, like all below */
    struct rows rows; /* of a statement with RETURNING, in `returned` */
};
struct batch {
    struct arena *arena;
    struct step *first, *last;
    int count, refused;
    bool is_urgent;
    struct arena returned; /* made by the writer's thread; db_write hands it to `arena` */
};
