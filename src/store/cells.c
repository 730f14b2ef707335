#include "store/cells.h"
#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "base/log.h"

/* More than the tasks that may run at once, with a few for those who read. */
enum { CELLS_MAX = 32768 + 4096 };

struct cells {
    unsigned char *region;
    int untouched;         /* the first cell that was never lent */
    int32_t free, lent;    /* a free cell holds the number of the next one, -1 at the end */
};

struct cells *cells_open(void)
{
    struct cells *c = malloc(sizeof *c);
    void *region = mmap(NULL, (size_t)CELLS_MAX * CELL_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (!c || region == MAP_FAILED) {
        if (region != MAP_FAILED) munmap(region, (size_t)CELLS_MAX * CELL_BYTES);
        free(c);
        return NULL;
    }
    *c = (struct cells){.region = region, .free = -1};
    /* A core dump without them is the kernel's promise; should it not know the word, cores are off anyway. */
    (void)madvise(region, (size_t)CELLS_MAX * CELL_BYTES, MADV_DONTDUMP);
    /* Page by page as it is used: an idle server locks four kilobytes. */
    static bool was_said;
    if (mlock2(region, (size_t)CELLS_MAX * CELL_BYTES, MLOCK_ONFAULT) != 0 && !was_said) {
        was_said = true;
        log_event(EVENT_keyring_not_locked, LOG_NUM("wanted_bytes", CELLS_MAX * CELL_BYTES));
    }
    return c;
}

void cells_close(struct cells *c)
{
    if (!c) return;
    explicit_bzero(c->region, (size_t)c->untouched * CELL_BYTES);
    munmap(c->region, (size_t)CELLS_MAX * CELL_BYTES);
    free(c);
}

unsigned char *cell_take(struct cells *c)
{
    if (c->free < 0 && c->untouched == CELLS_MAX) return NULL;
    unsigned char *cell = c->region + (size_t)(c->free < 0 ? c->untouched : c->free) * CELL_BYTES;
    if (c->free < 0) c->untouched++;
    else memcpy(&c->free, cell, sizeof c->free);
    c->lent++;
    return cell;
}

void cell_drop(struct cells *c, unsigned char *cell)
{
    if (!cell) return;
    ptrdiff_t at = cell - c->region;
    assert(at >= 0 && at % CELL_BYTES == 0 && at / CELL_BYTES < c->untouched);
    explicit_bzero(cell, CELL_BYTES);
    memcpy(cell, &c->free, sizeof c->free);
    c->free = (int32_t)(at / CELL_BYTES);
    c->lent--;
}

int cells_lent(const struct cells *c) { return c->lent; }
