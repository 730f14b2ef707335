/* llm/headers.h: what a request to a model bears besides its body. Pure.
 *
 * An agent may add headers (llm_extra_headers), also an Authorization of its own, which then
 * replaces ours. Those that say how the message is carried stay ours: Host, Content-Length,
 * Content-Type, Connection, Transfer-Encoding, TE, Trailer, Upgrade, Expect, Keep-Alive,
 * Accept-Encoding and all that begin with Proxy- are passed over.
 *
 * Errors    ERR_INVALID with a sentence that names the header and never its value: no object of
 *           texts, a name that is no token, a value with a control character, too many. */
#pragma once
#include "llm/llm.h"
#include "net/client.h"

enum { HEADERS_MAX = 100, HEADERS_BYTES_MAX = 16384 };

/* For the API: may this be stored as llm_extra_headers? As a key? Sentences live in the arena. */
struct err llm_check_headers(struct arena *, struct str json) MUST_CHECK;
struct err llm_check_key(struct str key) MUST_CHECK;
/* Does the header's name tell that its value is a credential? */
bool llm_is_secret_header(struct str name);

struct headers { /* in the arena */
    struct header *items;
    int count;
    struct str *secrets; /* what must never be in a sentence */
    int secrets_count;
};
struct err headers_of(struct arena *, const struct llm_model *, struct headers *out) MUST_CHECK;
