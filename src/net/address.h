/* net/address.h: numeric addresses, and which of them belong to the public internet. Pure. */
#pragma once
#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>
#include "base/str.h"

enum { ADDRESS_TEXT_MAX = 48 }; /* IPv6 in brackets, and the zero byte */
union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};
/* Any spelling that some resolver takes for a number: "127.0.0.1", "127.1", "0x7f000001",
 * "017700000001", "2130706433", one dot at the end; IPv6 with or without brackets. */
bool address_read(struct str text, union address *out);
/* The one canonical spelling; IPv6 in brackets. False: neither IPv4 nor IPv6. */
bool address_text(const struct sockaddr *, char out[ADDRESS_TEXT_MAX]);
/* False for every range that IANA set aside for a special purpose, for what embeds such an address,
 * and for the addresses at which clouds serve their metadata. */
bool address_is_public(const struct sockaddr *);
