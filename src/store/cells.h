/* store/cells.h: room for keys that no swap and no core dump holds.
 *
 * One region of 32-byte cells, mapped at once, touched as it is used. Where the system lets us lock less
 * (RLIMIT_MEMLOCK), the region works all the same and one line says so.
 *
 * Threads   The loop's, except that a cell may be read by any while it is lent. */
#pragma once

enum { CELL_BYTES = 32 };
struct cells;
struct cells *cells_open(void); /* null: no memory */
void cells_close(struct cells *);
unsigned char *cell_take(struct cells *); /* null: all are lent */
void cell_drop(struct cells *, unsigned char *); /* wiped */
int cells_lent(const struct cells *);
