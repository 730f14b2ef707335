/* model/page.h: which piece of a list is asked for. */
#pragma once
#include <stdint.h>

struct page {
    int64_t number, size; /* from 1; 1..50 by the contract */
};
/* Rows before the page. A page so far out that this is no number is past every end. */
static inline int64_t page_skip(struct page page)
{
    int64_t skip;
    return __builtin_mul_overflow(page.number - 1, page.size, &skip) ? INT64_MAX : skip;
}
static inline int64_t page_count(struct page page, int64_t total)
{
    return total / page.size + (total % page.size > 0);
}
