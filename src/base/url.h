/* base/url.h: one strict parser for http(s) URLs (RFC 3986), used for checking
 * and for connecting alike, so that two parsers can never disagree. */
#pragma once
#include "base/str.h"

struct url { /* borrows from the text that was parsed */
    bool is_https;
    struct str host;   /* lower-cased copy in the arena; IPv6 without brackets */
    bool is_ipv6;
    int port;          /* 80 or 443 when not given */
    struct str path;   /* "/…" with the query ("/?q" when only that was given); "" when there is none */
};
/* False: *reason is a sentence for people (used as pydantic's url_parsing reason).
 * Refused: user info, control characters, spaces, backslashes, an empty host, bad ports, non-ASCII, addresses in
 * any form but a.b.c.d and [IPv6] without a zone, more than 8 KiB. A fragment is left out: it is never sent. */
bool url_parse(struct arena *, struct str text, struct url *out, const char **reason);
/* The reason when all that is wrong is the scheme (pydantic's url_scheme): compare the pointer. */
extern const char url_bad_scheme[];
/* "https://api.example.com/v1" + "chat/completions" with one slash between them; a query of the base stays at the end. */
struct str url_join(struct arena *, struct str base, struct str path);
