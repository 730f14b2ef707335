/* llm/complaint.h: what a provider said, fit to be read by whoever asked. Pure.
 *
 * Providers like to repeat the key that they refuse, whole or with stars in its middle; some
 * servers repeat the whole request. Whatever shares eight bytes with a secret is cut out, and so is a
 * word that is a secret with a mask in it, or its end. */
#pragma once
#include "base/str.h"

enum { COMPLAINT_BYTES_MAX = 500 };
/* Printable UTF-8 on one line, without a full stop at its end. In the arena. */
struct str complaint(struct arena *, struct str said, const struct str *secrets, int secrets_count);
