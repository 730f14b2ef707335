/* tests/store/house.h: a store in the test's directory, without a loop or on one. */
#pragma once
#include "store/batch.h"
#include "store/store.h"
#include "test.h"

/* A context without a loop, on the test's arena. */
struct ctx plain_cx(void);
struct store_settings house_settings(const char *directory);
struct store *house_open(struct ctx *, const char *directory);
char *house_path(const char *directory, const char *name);
/* Every file of the directory with its bytes, as one text. */
struct str house_bytes(const char *directory);
void house_copy(const char *from, const char *to); /* a file */

/* Run fn as a fiber of a loop; a CHECK in it fails the test. */
void on_loop(void (*fn)(struct ctx *));

/* Rows of the schema, in few words. */
void add_org(struct ctx *, struct db *, int64_t n);
void task_batch(struct batch *, int64_t n, int64_t slot, struct str sealed);
void entry_batch(struct batch *, int64_t task, int64_t n, int64_t run, struct str body);
int64_t count_of(struct ctx *, struct db *, const char *sql);
