/* base/clock.h: what time it is; the only place that asks.
 *
 * Threads   Any thread may ask. A test moves time with clock_test_*(). */
#pragma once
#include <stdint.h>
#include "base/str.h"

int64_t clock_mono_ms(void);  /* for deadlines; never goes back */
int64_t clock_mono_us(void);
/* Microseconds since 1970, UTC. Within one process it never goes back and
 * never repeats, so what was made later has the later time. */
int64_t clock_now_us(void);
/* The same without that promise, for whoever only shows it: it uses up no moment. */
int64_t clock_peek_us(void);
/* "2026-04-10T19:01:22.898813Z": always six decimals. */
struct str clock_text(struct arena *, int64_t us);
/* The same without a zero byte into a place of the caller's; years 0 to 9999. */
enum { CLOCK_TEXT_BYTES = 27 };
void clock_print(int64_t us, char out[CLOCK_TEXT_BYTES]);

/* Tests: from now on both clocks stand still, and move when told. */
void clock_test_freeze(int64_t now_us);
void clock_test_advance_ms(int64_t ms);
void clock_test_thaw(void);
