/* io/fiber.h: a stack and a switch.
 *
 * The lowest room of waiting: it knows nothing of loops or scopes. A fiber runs
 * until it parks; somebody on the same thread resumes it. About 128 kB of address
 * space are reserved for each, with a guard page below; only touched pages cost
 * memory, and a stack goes back to a pool when its fiber ends.
 *
 * Threads   A fiber never changes threads.
 * Errors    fiber_new returns null when there is no stack to lend.
 * Checks    AddressSanitizer, ThreadSanitizer and valgrind know of every switch. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct fiber;
typedef void fiber_main(void *arg);

struct fiber *fiber_new(fiber_main *fn, void *arg) __attribute__((warn_unused_result));
void fiber_resume(struct fiber *);    /* run it until it parks or ends; not from within itself */
void fiber_park(void);                /* back to whoever resumed the running fiber */
struct fiber *fiber_self(void);       /* null outside of any fiber */
bool fiber_has_ended(const struct fiber *);
void fiber_free(struct fiber *);      /* only an ended one, or one that never ran */
/* Stacks kept for reuse are given back to the system down to `keep`. */
void fiber_pool_trim(size_t keep);
size_t fiber_count(void);             /* alive now on this thread */
/* For the debug page: what a parked fiber waits for, a literal. */
void fiber_note(struct fiber *, const char *what);
const char *fiber_note_of(const struct fiber *); /* null: none was given */
void *fiber_arg(const struct fiber *);           /* as given to fiber_new */
/* Tests: a failed check jumped out of the running fiber, which is lost. False: a sanitizer
 * watches and would take what follows for errors. */
bool fiber_test_abandon(void);
void fiber_test_stacks_max(size_t); /* 0: as many as the kernel allows */
