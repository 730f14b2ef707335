#include "store/rotation.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "store/disk.h"
#include "store/master.h"
#include "store/ring.h"

enum { NAME_BYTES = 1200, PIECE_BYTES = 1024 };
struct names {
    char master_next[NAME_BYTES], ring_next[NAME_BYTES], ring_old[NAME_BYTES];
};

static struct names names_of(const struct rotation *r)
{
    struct names n;
    snprintf(n.master_next, sizeof n.master_next, "%s/master.key.next", r->directory);
    snprintf(n.ring_next, sizeof n.ring_next, "%s/keyring.next", r->directory);
    snprintf(n.ring_old, sizeof n.ring_old, "%s/keyring.old", r->directory);
    return n;
}

static bool is_there(const char *path) { return access(path, F_OK) == 0; }

static bool is_same_file(const char *a, const char *b)
{
    struct stat one, other;
    return stat(a, &one) == 0 && stat(b, &other) == 0 && one.st_ino == other.st_ino && one.st_dev == other.st_dev;
}

/* ---- steps ----------------------------------------------------------------------------- */

/* 1. */
static struct err make_next(const struct rotation *r, const struct names *n, const struct ring *from, const unsigned char *key)
{
    unsigned char made[32];
    struct ring next;
    if (!key) {
        TRY(master_make(n->master_next, made));
        key = made;
    }
    struct err e = ring_make(&next, n->ring_next, r->cells, key, from->installation, from->stamp);
    explicit_bzero(made, sizeof made);
    TRY(e);
    e = ring_copy(from, &next);
    ring_close(&next);
    TRY(e);
    return disk_sync_directory(r->directory);
}

/* 4. */
static struct err move_master(const struct rotation *r, const struct names *n)
{
    if (!r->master || !is_there(n->master_next)) return OK;
    TRY(disk_rename(n->master_next, r->master));
    return disk_sync_directory(r->directory);
}

static struct err overwrite(const char *path)
{
    static const char zeros[PIECE_BYTES];
    struct stat about;
    int fd;
    TRY(disk_open(path, O_WRONLY, &fd));
    struct err e = fstat(fd, &about) == 0 ? OK : err(ERR_IO, "the old keyring cannot be overwritten");
    for (int64_t at = 0; !failed(e) && at < about.st_size; at += PIECE_BYTES) e = disk_write(fd, zeros, PIECE_BYTES, at);
    if (!failed(e)) e = disk_sync(fd);
    disk->close(fd);
    return e;
}

/* 5. As long as the second name is that of the keyring itself, nothing has happened yet. */
static struct err drop_old(const struct rotation *r, const struct names *n)
{
    if (!is_there(n->ring_old)) return OK;
    if (!is_same_file(n->ring_old, r->keyring)) TRY(overwrite(n->ring_old));
    unlink(n->ring_old);
    return disk_sync_directory(r->directory);
}

struct err rotation_make(const struct rotation *r, const struct ring *from, const unsigned char *key)
{
    struct names n = names_of(r);
    TRY(make_next(r, &n, from, key));
    if (link(r->keyring, n.ring_old)) return err(ERR_IO, "the keyring cannot get a second name in the data directory");
    TRY(disk_rename(n.ring_next, r->keyring));
    TRY(disk_sync_directory(r->directory));
    TRY(move_master(r, &n));
    return drop_old(r, &n);
}

/* ---- after a crash ------------------------------------------------------------------------ */

static bool opens_with_next(const struct rotation *r, const struct names *n)
{
    unsigned char key[32];
    struct ring ring;
    struct err e = master_read(n->master_next, key);
    if (!failed(e)) e = ring_open(&ring, r->keyring, r->cells, key);
    explicit_bzero(key, sizeof key);
    if (!failed(e)) ring_close(&ring);
    return !failed(e);
}

struct err rotation_finish(const struct rotation *r)
{
    struct names n = names_of(r);
    if (!is_there(r->keyring)) return OK; /* whoever moved it away decides */
    if (r->master && is_there(n.master_next)) {
        if (opens_with_next(r, &n)) TRY(move_master(r, &n));
        else unlink(n.master_next);
    }
    if (is_there(n.ring_next)) unlink(n.ring_next);
    return drop_old(r, &n);
}
