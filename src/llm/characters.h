/* llm/characters.h: pieces of text in, whole characters out. Pure.
 *
 * A model's pieces may end inside a character (its bytes, or its two surrogates as three bytes each).
 * What may still become one is held back until the next piece; what never can is replaced by U+FFFD,
 * so the text that comes out is UTF-8 at every moment. */
#pragma once
#include "base/str.h"

enum { CHARACTERS_HELD_MAX = 5 }; /* a surrogate and two bytes of the other */
struct characters {               /* zero holds nothing */
    char held[CHARACTERS_HELD_MAX];
    unsigned char held_count;
};
/* Add a piece to `out`; with `is_last` nothing is held back. */
void characters_add(struct characters *, struct str piece, bool is_last, struct buf *out);
