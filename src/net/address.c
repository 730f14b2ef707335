#include "net/address.h"
#include <arpa/inet.h>
#include <stdio.h>

/* IANA's registry of special-purpose IPv4 addresses, whole: also the few that are reachable from
 * everywhere (anycast relays and sinks) have nothing that a tenant needs. */
static const struct {
    uint32_t base;
    int bits;
} special_v4[] = {
    {0x00000000, 8},  /* 0.0.0.0        "this network" */
    {0x0A000000, 8},  /* 10.0.0.0       private */
    {0x64400000, 10}, /* 100.64.0.0     carriers' NAT; a cloud's metadata at 100.100.100.200 */
    {0x7F000000, 8},  /* 127.0.0.0      loopback */
    {0xA83F8110, 32}, /* 168.63.129.16  public by its number, a cloud's own wire server in fact */
    {0xA9FE0000, 16}, /* 169.254.0.0    link-local; metadata at 169.254.169.254 */
    {0xAC100000, 12}, /* 172.16.0.0     private */
    {0xC0000000, 24}, /* 192.0.0.0      protocol assignments; a cloud's metadata at 192.0.0.192 */
    {0xC0000200, 24}, /* 192.0.2.0      documentation */
    {0xC01FC400, 24}, /* 192.31.196.0   AS112 */
    {0xC034C100, 24}, /* 192.52.193.0   AMT */
    {0xC0586300, 24}, /* 192.88.99.0    6to4 relays */
    {0xC0A80000, 16}, /* 192.168.0.0    private */
    {0xC0AF3000, 24}, /* 192.175.48.0   AS112 */
    {0xC6120000, 15}, /* 198.18.0.0     benchmarking */
    {0xC6336400, 24}, /* 198.51.100.0   documentation */
    {0xCB007100, 24}, /* 203.0.113.0    documentation */
    {0xE0000000, 4},  /* 224.0.0.0      multicast */
    {0xF0000000, 4},  /* 240.0.0.0      reserved, and broadcast */
};

static bool is_public_v4(uint32_t address)
{
    for (size_t i = 0; i < sizeof special_v4 / sizeof *special_v4; i++)
        if ((address ^ special_v4[i].base) >> (32 - special_v4[i].bits) == 0) return false;
    return true;
}

/* IPv6 is refused but for 2000::/3, all that is handed out as global; within it these are special.
 * Outside of it so are ::, ::1, ::a.b.c.d, 64:ff9b:1::/48, 100::/64, 5f00::/16, fc00::/7 (with
 * fd00:ec2::254, metadata), fe80::/10, fec0::/10 and ff00::/8, which therefore need no row. */
static const struct {
    uint8_t base[6];
    int bits;
} special_v6[] = {
    {{0x20, 0x01, 0x00}, 23},                         /* 2001::/23       protocol assignments: Teredo, ORCHID, … */
    {{0x20, 0x01, 0x0D, 0xB8}, 32},                   /* 2001:db8::/32   documentation */
    {{0x26, 0x20, 0x00, 0x4F, 0x80, 0x00}, 48},       /* 2620:4f:8000::  AS112 */
    {{0x3F, 0xFE}, 16},                               /* 3ffe::/16       the old test network */
    {{0x3F, 0xFF, 0x00}, 20},                         /* 3fff::/20       documentation */
};

static bool has_prefix(const uint8_t *address, const uint8_t *base, int bits)
{
    int whole = bits / 8, rest = bits % 8;
    if (memcmp(address, base, (size_t)whole) != 0) return false;
    return rest == 0 || (address[whole] ^ base[whole]) >> (8 - rest) == 0;
}

static uint32_t v4_at(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static bool is_public_v6(const uint8_t *a)
{
    static const uint8_t mapped[12] = {[10] = 0xFF, [11] = 0xFF};        /* ::ffff:a.b.c.d   */
    static const uint8_t nat64[12] = {0x00, 0x64, 0xFF, 0x9B};           /* 64:ff9b::a.b.c.d */
    if (has_prefix(a, mapped, 96) || has_prefix(a, nat64, 96)) return is_public_v4(v4_at(a + 12));
    if (a[0] >> 5 != 1) return false;
    for (size_t i = 0; i < sizeof special_v6 / sizeof *special_v6; i++)
        if (has_prefix(a, special_v6[i].base, special_v6[i].bits)) return false;
    if (a[0] == 0x20 && a[1] == 0x02 && !is_public_v4(v4_at(a + 2))) return false; /* 6to4 */
    /* ISATAP: a tunnel whose far end stands in the last four bytes. */
    bool is_isatap = (a[8] & 0xFD) == 0 && a[9] == 0 && a[10] == 0x5E && a[11] == 0xFE;
    return !is_isatap || is_public_v4(v4_at(a + 12));
}

bool address_is_public(const struct sockaddr *a)
{
    if (a->sa_family == AF_INET)
        return is_public_v4(ntohl(((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr));
    if (a->sa_family == AF_INET6)
        return is_public_v6(((const struct sockaddr_in6 *)(const void *)a)->sin6_addr.s6_addr);
    return false;
}

/* inet_aton also takes white space and whatever follows it; here it gets digits, x and dots alone. */
static bool read_v4(const char *text, struct sockaddr_in *out)
{
    if (text[strspn(text, "0123456789abcdefABCDEFxX.")]) return false;
    out->sin_family = AF_INET;
    return inet_aton(text, &out->sin_addr) != 0;
}

bool address_read(struct str text, union address *out)
{
    char z[ADDRESS_TEXT_MAX * 2];
    *out = (union address){0};
    if (text.count >= 2 && text.at[0] == '[' && text.at[text.count - 1] == ']')
        text = str_cut(text, 1, text.count - 2);
    else if (text.count > 0 && text.at[text.count - 1] == '.')
        text.count--;
    if (text.count == 0 || text.count >= sizeof z || memchr(text.at, 0, text.count)) return false;
    memcpy(z, text.at, text.count);
    z[text.count] = 0;
    if (!memchr(z, ':', text.count)) return read_v4(z, &out->v4);
    out->v6.sin6_family = AF_INET6;
    return inet_pton(AF_INET6, z, &out->v6.sin6_addr) == 1;
}

bool address_text(const struct sockaddr *a, char out[ADDRESS_TEXT_MAX])
{
    char text[INET6_ADDRSTRLEN];
    const struct sockaddr_in *v4 = (const void *)a;
    const struct sockaddr_in6 *v6 = (const void *)a;
    bool is_v6 = a->sa_family == AF_INET6;
    if (!is_v6 && a->sa_family != AF_INET) return false;
    if (!inet_ntop(a->sa_family, is_v6 ? (const void *)&v6->sin6_addr : &v4->sin_addr, text, sizeof text)) return false;
    snprintf(out, ADDRESS_TEXT_MAX, is_v6 ? "[%s]" : "%s", text);
    return true;
}
