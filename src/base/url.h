/* base/url.h: one strict parser for http(s) URLs (RFC 3986), used for checking
 * and for connecting alike, so that two parsers can never disagree. */
#pragma once
#include "base/str.h"

struct url { /* borrows from the text that was parsed */
    bool is_https;
    struct str host;   /* lower-cased copy in the arena; IPv6 without brackets */
    bool is_ipv6;
    int port;          /* 80 or 443 when not given */
    struct str path;   /* "/…" with the query; "" when there is none */
};
/* False: *reason is a sentence for people (used as pydantic's url_parsing reason).
 * Refused: user info, control characters, spaces, backslashes, an empty host, bad ports, non-ASCII. */
bool url_parse(struct arena *, struct str text, struct url *out, const char **reason);
/* "https://api.example.com/v1" + "chat/completions" with one slash between them. */
struct str url_join(struct arena *, struct str base, struct str path);
