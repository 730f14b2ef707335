#include "store/ring.h"
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/crypto.h"
#include "store/disk.h"

/* A header: magic, installation, number, chance, then the HMAC of these. */
enum { SECTOR_BYTES = 512, MAGIC_BYTES = 8, INSTALLATION_BYTES = 40, SIGNED_BYTES = 64, HEADER_BYTES = 96 };
static const char magic[MAGIC_BYTES] = {'a', 'g', 'e', 'n', 't', 'd', 'k', '1'};

/* A slot: format, three zeros, nonce, the wrapped key, tag. */
enum { SLOT_FORMAT = 1, NONCE_AT = 4, WRAPPED_AT = NONCE_AT + CRYPTO_NONCE_BYTES, WRAPPED_BYTES = 48 };
_Static_assert(WRAPPED_AT + WRAPPED_BYTES == RING_SLOT_BYTES, "a slot is full");
_Static_assert(RING_SLOT_FIRST * RING_SLOT_BYTES == 2 * SECTOR_BYTES, "slots begin behind the headers");
enum { SLOTS_AT_ONCE = 32 };

static void put_u64(unsigned char *at, uint64_t n)
{
    for (int i = 0; i < 8; i++) at[i] = (unsigned char)(n >> 8 * i);
}

static uint64_t get_u64(const unsigned char *at)
{
    uint64_t n = 0;
    for (int i = 7; i >= 0; i--) n = n << 8 | at[i];
    return n;
}

static struct str bytes(const unsigned char *at, size_t count) { return str_n((const char *)at, count); }

/* ---- stamps ------------------------------------------------------------------------ */

struct ring_stamp ring_stamp_next(struct ring_stamp s)
{
    s.number++;
    crypto_random(&s.chance, sizeof s.chance);
    return s;
}

char *ring_stamp_text(struct arena *arena, struct ring_stamp s)
{
    return arena_printf(arena, "%" PRId64 "-%016" PRIx64, s.number, s.chance);
}

bool ring_stamp_is(struct ring_stamp s, struct str text)
{
    char own[48];
    snprintf(own, sizeof own, "%" PRId64 "-%016" PRIx64, s.number, s.chance);
    return str_is(text, own);
}

/* ---- the header -------------------------------------------------------------------- */

static void sign(const struct ring *r, const unsigned char *header, unsigned char *mac)
{
    crypto_hmac(bytes(r->signing, CELL_BYTES), bytes(header, SIGNED_BYTES), mac);
}

static bool read_header(struct ring *r, int place)
{
    unsigned char header[HEADER_BYTES], mac[CRYPTO_HASH_BYTES];
    size_t got;
    if (failed(disk_read(r->fd, header, sizeof header, (int64_t)place * SECTOR_BYTES, &got)) || got < sizeof header) return false;
    sign(r, header, mac);
    if (memcmp(header, magic, sizeof magic) != 0) return false;
    if (!crypto_equal(bytes(mac, sizeof mac), bytes(header + SIGNED_BYTES, sizeof mac))) return false;
    struct ring_stamp stamp = {(int64_t)get_u64(header + 48), get_u64(header + 56)};
    if (stamp.number <= r->stamp.number) return true;
    r->stamp = stamp;
    memcpy(r->installation, header + MAGIC_BYTES, INSTALLATION_BYTES);
    r->installation[INSTALLATION_BYTES - 1] = 0;
    return true;
}

struct err ring_raise(struct ring *r, struct ring_stamp stamp)
{
    unsigned char header[HEADER_BYTES] = {0};
    memcpy(header, magic, sizeof magic);
    memcpy(header + MAGIC_BYTES, r->installation, INSTALLATION_BYTES);
    put_u64(header + 48, (uint64_t)stamp.number);
    put_u64(header + 56, stamp.chance);
    sign(r, header, header + SIGNED_BYTES);
    TRY(disk_write(r->fd, header, sizeof header, stamp.number % 2 * SECTOR_BYTES));
    r->stamp = stamp;
    return OK;
}

/* ---- opening ----------------------------------------------------------------------- */

bool ring_exists(const char *path) { return access(path, F_OK) == 0; }

static struct err derive(struct ring *r, struct cells *cells, const unsigned char *master)
{
    *r = (struct ring){.fd = -1, .cells = cells, .wrapping = cell_take(cells), .signing = cell_take(cells)};
    if (!r->wrapping || !r->signing) return err(ERR_MEMORY, "there is no memory left for keys");
    crypto_hmac(bytes(master, CRYPTO_KEY_BYTES), S("agentd keyring: wrapping, 1"), r->wrapping);
    crypto_hmac(bytes(master, CRYPTO_KEY_BYTES), S("agentd keyring: header, 1"), r->signing);
    return OK;
}

void ring_close(struct ring *r)
{
    if (r->fd >= 0) disk->close(r->fd);
    cell_drop(r->cells, r->wrapping);
    cell_drop(r->cells, r->signing);
    *r = (struct ring){.fd = -1};
}

struct err ring_open(struct ring *r, const char *path, struct cells *cells, const unsigned char *master)
{
    struct err e = derive(r, cells, master);
    if (!failed(e)) e = disk_open(path, O_RDWR, &r->fd);
    bool first = !failed(e) && read_header(r, 0), second = !failed(e) && read_header(r, 1);
    if (!failed(e) && !first && !second) e = err(ERR_CONFLICT, "the keyring does not open with this master key");
    if (failed(e)) ring_close(r);
    return e;
}

struct err ring_make(struct ring *r, const char *path, struct cells *cells, const unsigned char *master, const char *installation,
                     struct ring_stamp stamp)
{
    char unfinished[1200];
    struct err e = derive(r, cells, master);
    if (!failed(e) && snprintf(unfinished, sizeof unfinished, "%s.new", path) >= (int)sizeof unfinished - 1)
        e = err(ERR_INVALID, "the path of the data directory is too long");
    snprintf(r->installation, sizeof r->installation, "%s", installation);
    if (!failed(e)) e = disk_open(unfinished, O_RDWR | O_CREAT | O_TRUNC, &r->fd);
    if (!failed(e)) e = ring_raise(r, stamp);
    if (!failed(e)) e = disk_sync(r->fd);
    if (!failed(e)) e = disk_rename(unfinished, path);
    if (failed(e)) ring_close(r);
    return e;
}

struct err ring_sync(const struct ring *r) { return disk_sync(r->fd); }

/* ---- slots ------------------------------------------------------------------------- */

/* What a wrapped key is bound to. */
static struct str about(const struct ring *r, int64_t slot, unsigned char out[INSTALLATION_BYTES + 8])
{
    memcpy(out, r->installation, INSTALLATION_BYTES);
    put_u64(out + INSTALLATION_BYTES, (uint64_t)slot);
    return bytes(out, INSTALLATION_BYTES + 8);
}

static void wrap(const struct ring *r, int64_t slot, const unsigned char *key, unsigned char out[RING_SLOT_BYTES])
{
    unsigned char place[INSTALLATION_BYTES + 8];
    memset(out, 0, RING_SLOT_BYTES);
    out[0] = SLOT_FORMAT;
    crypto_random(out + NONCE_AT, CRYPTO_NONCE_BYTES);
    crypto_seal(r->wrapping, out + NONCE_AT, about(r, slot, place), bytes(key, CRYPTO_KEY_BYTES), out + WRAPPED_AT);
}

static void wrap_fresh(const struct ring *r, int64_t slot, unsigned char out[RING_SLOT_BYTES])
{
    unsigned char key[CRYPTO_KEY_BYTES];
    crypto_random_key(key);
    wrap(r, slot, key, out);
    explicit_bzero(key, sizeof key);
}

/* Neighbours go in one write. */
struct err ring_overwrite(const struct ring *r, const int64_t *slots, int count)
{
    unsigned char fresh[SLOTS_AT_ONCE * RING_SLOT_BYTES];
    for (int at = 0; at < count;) {
        int run = 0;
        do wrap_fresh(r, slots[at + run], fresh + (size_t)run * RING_SLOT_BYTES);
        while (++run < SLOTS_AT_ONCE && at + run < count && slots[at + run] == slots[at] + run);
        TRY(disk_write(r->fd, fresh, (size_t)run * RING_SLOT_BYTES, slots[at] * RING_SLOT_BYTES));
        at += run;
    }
    return OK;
}

bool ring_unwrap(const struct ring *r, int64_t slot, unsigned char key[32])
{
    unsigned char wrapped[RING_SLOT_BYTES], place[INSTALLATION_BYTES + 8];
    size_t got;
    if (slot < RING_SLOT_FIRST) return false;
    struct err e = disk_read(r->fd, wrapped, sizeof wrapped, slot * RING_SLOT_BYTES, &got);
    if (failed(e) || got < sizeof wrapped || wrapped[0] != SLOT_FORMAT) return false;
    return crypto_open(r->wrapping, wrapped + NONCE_AT, about(r, slot, place), bytes(wrapped + WRAPPED_AT, WRAPPED_BYTES), key);
}

/* How many slots the file holds, those of the headers counted. */
static int64_t slots_in(const struct ring *r) { return lseek(r->fd, 0, SEEK_END) / RING_SLOT_BYTES; }

struct err ring_copy(const struct ring *from, const struct ring *to)
{
    unsigned char wrapped[SLOTS_AT_ONCE * RING_SLOT_BYTES], key[CRYPTO_KEY_BYTES];
    int64_t end = slots_in(from);
    struct err e = OK;
    for (int64_t at = RING_SLOT_FIRST; at < end && !failed(e); at += SLOTS_AT_ONCE) {
        int count = end - at < SLOTS_AT_ONCE ? (int)(end - at) : SLOTS_AT_ONCE;
        for (int i = 0; i < count; i++) {
            unsigned char *out = wrapped + (size_t)i * RING_SLOT_BYTES;
            if (ring_unwrap(from, at + i, key)) wrap(to, at + i, key, out);
            else wrap_fresh(to, at + i, out);
        }
        e = disk_write(to->fd, wrapped, (size_t)count * RING_SLOT_BYTES, at * RING_SLOT_BYTES);
    }
    explicit_bzero(key, sizeof key);
    return failed(e) ? e : ring_sync(to);
}
