#include "power.h"
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/str.h"
#include "store/disk.h"

enum { SECTOR = 512, FILES_MAX = 256, NAMES_MAX = 64, PATH_MAX_HERE = 256, FDS_MAX = 1024 };

/* ---- the world --------------------------------------------------------------------- */

struct op { /* on a file, not synced */
    bool is_truncation;
    int64_t at; /* or the size */
    size_t count;
    unsigned char *bytes;
};
struct file {
    struct buf durable;
    struct op *ops;
    int ops_count;
};
enum { DIRECTORY = -1 };
struct name {
    char path[PATH_MAX_HERE]; /* below the top; "" is none */
    int file;
};
struct names {
    struct name at[NAMES_MAX];
};
enum name_kind { NAME_MADE, NAME_REMOVED, NAME_MOVED };
struct name_op { /* on a directory, not synced */
    enum name_kind kind;
    char path[PATH_MAX_HERE], to[PATH_MAX_HERE];
    int file;
};
struct world {
    struct file files[FILES_MAX];
    int files_count;
    struct names durable, current;
    struct name_op name_ops[NAMES_MAX];
    int name_ops_count;
};

/* SQLite's writer and the keyring's are threads of their own. Recursive: what looks at a cut comes by here too. */
static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static void unlock(int *unused)
{
    (void)unused;
    pthread_mutex_unlock(&lock);
}
/* Until the end of the block. */
#define LOCKED                                                     \
    __attribute__((cleanup(unlock))) int is_locked = 0;            \
    (void)is_locked;                                               \
    pthread_mutex_lock(&lock)

static struct world *world;
static char top[PATH_MAX_HERE];
static void (*cut_fn)(void *);
static void *cut_arg;
static int64_t steps, syncs, failures, fail_at;
static int fail_with;
static void (*step_fn)(void *, int64_t);
static void *step_arg;

uint64_t power_dice(uint64_t *seed, uint64_t sides)
{
    *seed += 0x9e3779b97f4a7c15u;
    uint64_t z = *seed;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (z ^ z >> 31) % sides;
}

static struct name *name_find(struct names *n, const char *path)
{
    for (int i = 0; i < NAMES_MAX; i++)
        if (n->at[i].path[0] && strcmp(n->at[i].path, path) == 0) return &n->at[i];
    return NULL;
}

static void name_put(struct names *n, const char *path, int file)
{
    struct name *at = name_find(n, path);
    for (int i = 0; !at && i < NAMES_MAX; i++)
        if (!n->at[i].path[0]) at = &n->at[i];
    assert(at);
    snprintf(at->path, sizeof at->path, "%s", path);
    at->file = file;
}

static void name_remove(struct names *n, const char *path)
{
    struct name *at = name_find(n, path);
    if (at) at->path[0] = 0;
}

static void name_apply(struct names *n, const struct name_op *op)
{
    if (op->kind == NAME_MADE) name_put(n, op->path, op->file);
    if (op->kind == NAME_REMOVED) name_remove(n, op->path);
    if (op->kind == NAME_MOVED) {
        name_remove(n, op->path);
        name_put(n, op->to, op->file);
    }
}

static void name_do(enum name_kind kind, const char *path, const char *to, int file)
{
    assert(world->name_ops_count < NAMES_MAX);
    struct name_op *op = &world->name_ops[world->name_ops_count++];
    *op = (struct name_op){.kind = kind, .file = file};
    snprintf(op->path, sizeof op->path, "%s", path);
    snprintf(op->to, sizeof op->to, "%s", to ? to : "");
    name_apply(&world->current, op);
}

/* "data/keyring" stands in "data", and "data" in "". */
static bool stands_in(const char *path, const char *directory)
{
    const char *slash = strrchr(path, '/');
    size_t count = slash ? (size_t)(slash - path) : 0;
    return strlen(directory) == count && strncmp(path, directory, count) == 0;
}

static void buf_resize(struct buf *b, size_t count)
{
    if (count > b->count) {
        assert(buf_reserve(b, count - b->count));
        memset(b->at + b->count, 0, count - b->count);
    }
    b->count = count;
}

static void buf_put(struct buf *b, int64_t at, const void *bytes, size_t count)
{
    if ((size_t)at + count > b->count) buf_resize(b, (size_t)at + count);
    if (count) memcpy(b->at + at, bytes, count);
}

static void op_apply(struct buf *b, const struct op *op)
{
    if (op->is_truncation) buf_resize(b, (size_t)op->at);
    else buf_put(b, op->at, op->bytes, op->count);
}

static void op_add(int file, struct op op)
{
    struct file *f = &world->files[file];
    f->ops = realloc(f->ops, sizeof op * (size_t)(f->ops_count + 1));
    assert(f->ops);
    if (op.count) {
        unsigned char *bytes = malloc(op.count);
        assert(bytes);
        memcpy(bytes, op.bytes, op.count);
        op.bytes = bytes;
    }
    f->ops[f->ops_count++] = op;
}

static void ops_drop(struct file *f)
{
    for (int i = 0; i < f->ops_count; i++) free(f->ops[i].bytes);
    free(f->ops);
    f->ops = NULL;
    f->ops_count = 0;
}

static int file_new(void)
{
    assert(world->files_count < FILES_MAX);
    return world->files_count++;
}

void world_free(struct world *w)
{
    if (!w) return;
    for (int i = 0; i < w->files_count; i++) {
        ops_drop(&w->files[i]);
        buf_free(&w->files[i].durable);
    }
    free(w);
}

static struct world *world_copy(const struct world *from)
{
    struct world *w = malloc(sizeof *w);
    assert(w);
    *w = *from;
    for (int i = 0; i < w->files_count; i++) {
        w->files[i] = (struct file){0};
        buf_add(&w->files[i].durable, from->files[i].durable.at, from->files[i].durable.count);
        struct world *before = world;
        world = w;
        for (int j = 0; j < from->files[i].ops_count; j++) op_add(i, from->files[i].ops[j]);
        world = before;
    }
    return w;
}

/* ---- what a cut leaves ------------------------------------------------------------- */

struct choice { /* of what survives */
    enum power_left left;
    uint64_t seed;
    int64_t torn, sector; /* which of all sectors is torn; the one we are at */
};

static bool survives(struct choice *c)
{
    if (c->left == LEFT_NONE || c->left == LEFT_ALL) return c->left == LEFT_ALL;
    return power_dice(&c->seed, 2);
}

static void leave_write(struct choice *c, struct buf *b, const struct op *op)
{
    bool whole = c->left == LEFT_SOME && power_dice(&c->seed, 2); /* this write stands or falls as one */
    bool falls = whole && power_dice(&c->seed, 2);
    for (size_t at = 0; at < op->count;) {
        size_t count = SECTOR - (size_t)(op->at + (int64_t)at) % SECTOR;
        if (count > op->count - at) count = op->count - at;
        size_t kept = (whole ? !falls : survives(c)) ? count : 0;
        if (c->sector++ == c->torn) kept = (size_t)power_dice(&c->seed, count);
        if (kept) buf_put(b, op->at + (int64_t)at, op->bytes + at, kept);
        at += count;
    }
    bool has_grown = (size_t)op->at + op->count > b->count;
    if (has_grown && c->left != LEFT_NONE && survives(c)) buf_resize(b, (size_t)op->at + op->count);
}

static int64_t sectors_unsynced(const struct world *w)
{
    int64_t count = 0;
    for (int i = 0; i < w->files_count; i++)
        for (int j = 0; j < w->files[i].ops_count; j++) {
            const struct op *op = &w->files[i].ops[j];
            if (op->count) count += (op->at + (int64_t)op->count - 1) / SECTOR - op->at / SECTOR + 1;
        }
    return count;
}

struct world *power_cut(enum power_left left, uint64_t seed)
{
    LOCKED;
    struct choice c = {.left = left, .seed = seed, .torn = -1};
    struct world *w = world_copy(world);
    int64_t sectors = sectors_unsynced(w);
    if (left == LEFT_TORN) {
        c.left = (enum power_left)power_dice(&c.seed, 3);
        if (sectors) c.torn = (int64_t)power_dice(&c.seed, (uint64_t)sectors);
    }
    for (int i = 0; i < w->files_count; i++) {
        struct file *f = &w->files[i];
        for (int j = 0; j < f->ops_count; j++) {
            if (!f->ops[j].is_truncation) leave_write(&c, &f->durable, &f->ops[j]);
            else if (survives(&c)) op_apply(&f->durable, &f->ops[j]);
        }
        ops_drop(f);
    }
    for (int i = 0; i < w->name_ops_count; i++)
        if (survives(&c)) name_apply(&w->durable, &w->name_ops[i]);
    w->name_ops_count = 0;
    for (int i = 0; i < NAMES_MAX; i++) { /* what stood in a directory that is not there */
        char *path = w->durable.at[i].path, *slash = strrchr(path, '/');
        if (!slash) continue;
        char above[PATH_MAX_HERE];
        snprintf(above, sizeof above, "%.*s", (int)(slash - path), path);
        if (!name_find(&w->durable, above)) path[0] = 0;
    }
    w->current = w->durable;
    return w;
}

struct world *power_kill(void)
{
    LOCKED;
    return world_copy(world);
}

static void write_file(const char *path, const struct file *f)
{
    struct buf now = {0};
    buf_add(&now, f->durable.at, f->durable.count);
    for (int i = 0; i < f->ops_count; i++) op_apply(&now, &f->ops[i]);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert(fd >= 0);
    ssize_t n = now.count ? write(fd, now.at, now.count) : 0;
    assert(n == (ssize_t)now.count);
    (void)n;
    close(fd);
    buf_free(&now);
}

void world_write(const struct world *w, const char *directory)
{
    char path[2 * PATH_MAX_HERE];
    for (int directories = 1; directories >= 0; directories--) { /* first the directories */
        for (int i = 0; i < NAMES_MAX; i++) {
            const struct name *n = &w->current.at[i];
            if (!n->path[0] || (n->file == DIRECTORY) != directories) continue;
            snprintf(path, sizeof path, "%s/%s", directory, n->path);
            if (directories) mkdir(path, 0700);
            else write_file(path, &w->files[n->file]);
        }
    }
}

static void read_file(struct world *w, const char *path, const char *name)
{
    struct buf *all = &w->files[w->files_count].durable;
    char piece[65536];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert(fd >= 0 && w->files_count < FILES_MAX);
    for (ssize_t n; (n = read(fd, piece, sizeof piece)) > 0;) buf_add(all, piece, (size_t)n);
    close(fd);
    name_put(&w->durable, name, w->files_count++);
}

static void read_directory(struct world *w, const char *directory, const char *name)
{
    char path[2 * PATH_MAX_HERE], below_top[PATH_MAX_HERE];
    DIR *entries = opendir(directory);
    assert(entries);
    for (struct dirent *d; (d = readdir(entries));) {
        size_t count = strlen(d->d_name);
        /* What lives in memory alone: indexes of the log, sockets. */
        if (d->d_name[0] == '.' || d->d_type == DT_SOCK || (count > 4 && !strcmp(d->d_name + count - 4, "-shm"))) continue;
        snprintf(path, sizeof path, "%s/%s", directory, d->d_name);
        int length = snprintf(below_top, sizeof below_top, "%s%s%s", name, *name ? "/" : "", d->d_name);
        assert(length < (int)sizeof below_top);
        (void)length;
        if (d->d_type == DT_REG) read_file(w, path, below_top);
        else if (d->d_type == DT_DIR && !*name) name_put(&w->durable, below_top, DIRECTORY);
    }
    closedir(entries);
}

struct world *world_read(const char *directory)
{
    struct world *w = calloc(1, sizeof *w);
    assert(w);
    read_directory(w, directory, "");
    char path[2 * PATH_MAX_HERE];
    for (int i = 0; i < NAMES_MAX; i++) {
        if (!w->durable.at[i].path[0] || w->durable.at[i].file != DIRECTORY) continue;
        snprintf(path, sizeof path, "%s/%s", directory, w->durable.at[i].path);
        read_directory(w, path, w->durable.at[i].path);
    }
    w->current = w->durable;
    return w;
}

/* ---- recording --------------------------------------------------------------------- */

/* The path below the recorded top; null: not ours. */
static const char *below(const char *path)
{
    size_t count = strlen(top);
    if (!world || !count || strncmp(path, top, count) != 0) return NULL;
    if (path[count] != '/' && path[count] != 0) return NULL;
    return path + count + (path[count] == '/');
}

static int known(const char *path)
{
    struct name *n = name_find(&world->current, path);
    return n ? n->file : -2;
}

/* Is this the step that fails? */
static bool fails(void)
{
    if (!world) return false;
    steps++;
    if (step_fn) step_fn(step_arg, steps);
    if (!fail_at || --fail_at) return false;
    errno = fail_with;
    failures++;
    return true;
}

static void cut_here(void)
{
    if (!cut_fn) return;
    struct world *kept = world;
    void (*fn)(void *) = cut_fn;
    cut_fn = NULL; /* what is done in there has no cuts */
    fn(cut_arg);
    cut_fn = fn;
    assert(world == kept);
}

static void sync_file(int file)
{
    syncs++;
    cut_here();
    struct file *f = &world->files[file];
    for (int i = 0; i < f->ops_count; i++) op_apply(&f->durable, &f->ops[i]);
    ops_drop(f);
}

static void sync_names(const char *directory)
{
    syncs++;
    cut_here();
    int kept = 0;
    for (int i = 0; i < world->name_ops_count; i++) {
        struct name_op op = world->name_ops[i];
        if (stands_in(op.path, directory)) name_apply(&world->durable, &op);
        else world->name_ops[kept++] = op;
    }
    world->name_ops_count = kept;
}

static int opened(const char *path, bool may_make)
{
    int file = known(path);
    if (file >= 0 || !may_make) return file;
    file = file_new();
    name_do(NAME_MADE, path, NULL, file);
    return file;
}

/* ---- under store/disk.h ------------------------------------------------------------ */

static int file_of_fd[FDS_MAX]; /* plus one; 0 is none of ours */

static int disk_file(int fd) { return world && fd >= 0 && fd < FDS_MAX ? file_of_fd[fd] - 1 : -1; }

static int shim_open(const char *path, int flags, int mode)
{
    LOCKED;
    int fd = real_disk.open(path, flags, mode);
    const char *own = below(path);
    if (fd < 0 || fd >= FDS_MAX) return fd;
    file_of_fd[fd] = 0;
    if (!own) return fd;
    int file = opened(own, flags & O_CREAT);
    file_of_fd[fd] = file + 1;
    if (flags & O_TRUNC) op_add(file, (struct op){.is_truncation = true});
    return fd;
}

static int shim_close(int fd)
{
    LOCKED;
    if (fd >= 0 && fd < FDS_MAX) file_of_fd[fd] = 0;
    return real_disk.close(fd);
}

static int shim_write_at(int fd, const void *bytes, size_t count, int64_t offset)
{
    LOCKED;
    int file = disk_file(fd);
    if (file >= 0) {
        if (fails()) return -1;
        op_add(file, (struct op){.at = offset, .count = count, .bytes = (unsigned char *)(uintptr_t)bytes});
    }
    return real_disk.write_at(fd, bytes, count, offset);
}

static int shim_sync(int fd)
{
    LOCKED;
    int file = disk_file(fd);
    if (file < 0) return 0;
    if (fails()) return -1;
    sync_file(file);
    return 0;
}

static int shim_sync_directory(const char *path)
{
    LOCKED;
    char plain[PATH_MAX_HERE];
    snprintf(plain, sizeof plain, "%s", path);
    size_t count = strlen(plain);
    while (count > 1 && plain[count - 1] == '/') plain[--count] = 0;
    const char *own = below(plain);
    if (!own) return 0;
    if (fails()) return -1;
    sync_names(own);
    return 0;
}

static int shim_rename(const char *from, const char *to)
{
    LOCKED;
    const char *own = below(from), *own_to = below(to);
    if (own && fails()) return -1;
    int rc = real_disk.rename(from, to);
    if (rc == 0 && own) name_do(NAME_MOVED, own, own_to, known(own));
    return rc;
}

static int shim_make_directory(const char *path, int mode)
{
    LOCKED;
    const char *own = below(path);
    if (own && fails()) return -1;
    int rc = real_disk.make_directory(path, mode);
    if (rc == 0 && own) name_do(NAME_MADE, own, NULL, DIRECTORY);
    return rc;
}

/* A file's room is nothing that a cut could leave half. */
static int shim_allocate(int fd, int64_t count)
{
    LOCKED;
    return fails() ? -1 : real_disk.allocate(fd, count);
}

static const struct disk shim_disk = {.allocate = shim_allocate, .open = shim_open, .close = shim_close, .write_at = shim_write_at, .sync = shim_sync,
                                      .sync_directory = shim_sync_directory, .rename = shim_rename,
                                      .make_directory = shim_make_directory};

/* ---- under SQLite: the shared memory of the log is passed on, it is nothing that lasts --------- */

struct shim_file {
    sqlite3_file base;
    int file; /* below 0: not ours */
    bool syncs_names; /* with its first sync, as SQLite's own VFS does for logs and journals */
    char directory[PATH_MAX_HERE];
    sqlite3_file real[]; /* of the real VFS */
};
static sqlite3_vfs *real_vfs;
static sqlite3_file *real_of(sqlite3_file *f) { return ((struct shim_file *)f)->real; }
#define REAL(f) (real_of(f)->pMethods)
static int own_file(sqlite3_file *f) { return world ? ((struct shim_file *)f)->file : -1; }

static int sql_error(int otherwise) { return fail_with == ENOSPC ? SQLITE_FULL : otherwise; }

static int f_close(sqlite3_file *f) { return REAL(f)->xClose(real_of(f)); }
static int f_read(sqlite3_file *f, void *at, int n, sqlite3_int64 o) { return REAL(f)->xRead(real_of(f), at, n, o); }
static int f_write(sqlite3_file *f, const void *at, int n, sqlite3_int64 o)
{
    LOCKED;
    int file = own_file(f);
    if (file >= 0) {
        if (fails()) return sql_error(SQLITE_IOERR_WRITE);
        op_add(file, (struct op){.at = o, .count = (size_t)n, .bytes = (unsigned char *)(uintptr_t)at});
    }
    return REAL(f)->xWrite(real_of(f), at, n, o);
}
static int f_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    LOCKED;
    int file = own_file(f);
    if (file >= 0) {
        if (fails()) return sql_error(SQLITE_IOERR_TRUNCATE);
        op_add(file, (struct op){.is_truncation = true, .at = size});
    }
    return REAL(f)->xTruncate(real_of(f), size);
}
static int f_sync(sqlite3_file *f, int flags)
{
    LOCKED;
    (void)flags;
    struct shim_file *own = (struct shim_file *)f;
    int file = own_file(f);
    if (file < 0) return SQLITE_OK;
    if (fails()) return SQLITE_IOERR_FSYNC;
    sync_file(file);
    if (own->syncs_names) sync_names(own->directory);
    own->syncs_names = false;
    return SQLITE_OK;
}
static int f_size(sqlite3_file *f, sqlite3_int64 *out) { return REAL(f)->xFileSize(real_of(f), out); }
static int f_lock(sqlite3_file *f, int how) { return REAL(f)->xLock(real_of(f), how); }
static int f_unlock(sqlite3_file *f, int how) { return REAL(f)->xUnlock(real_of(f), how); }
static int f_reserved(sqlite3_file *f, int *out) { return REAL(f)->xCheckReservedLock(real_of(f), out); }
static int f_control(sqlite3_file *f, int op, void *arg) { return REAL(f)->xFileControl(real_of(f), op, arg); }
static int f_sector(sqlite3_file *f) { return REAL(f)->xSectorSize(real_of(f)); }
static int f_device(sqlite3_file *f) { return REAL(f)->xDeviceCharacteristics(real_of(f)); }
static int f_shm_map(sqlite3_file *f, int p, int n, int w, void volatile **at) { return REAL(f)->xShmMap(real_of(f), p, n, w, at); }
static int f_shm_lock(sqlite3_file *f, int at, int n, int how) { return REAL(f)->xShmLock(real_of(f), at, n, how); }
static void f_shm_barrier(sqlite3_file *f) { REAL(f)->xShmBarrier(real_of(f)); }
static int f_shm_unmap(sqlite3_file *f, int del) { return REAL(f)->xShmUnmap(real_of(f), del); }

static const sqlite3_io_methods shim_methods = {2, f_close, f_read, f_write, f_truncate, f_sync, f_size, f_lock, f_unlock, f_reserved,
                                                f_control, f_sector, f_device, f_shm_map, f_shm_lock, f_shm_barrier, f_shm_unmap,
                                                NULL, NULL};

static int v_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *f, int flags, int *out)
{
    LOCKED;
    (void)vfs;
    struct shim_file *own = (struct shim_file *)f;
    memset(own, 0, sizeof *own + (size_t)real_vfs->szOsFile);
    own->file = -1;
    const char *name = path ? below(path) : NULL;
    bool is_log = flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL);
    int code = real_vfs->xOpen(real_vfs, path, own->real, flags, out);
    if (own->real->pMethods) own->base.pMethods = &shim_methods;
    if (code != SQLITE_OK || !name || !(is_log || flags & SQLITE_OPEN_MAIN_DB)) return code;
    own->file = opened(name, flags & SQLITE_OPEN_CREATE);
    own->syncs_names = is_log;
    const char *slash = strrchr(name, '/');
    snprintf(own->directory, sizeof own->directory, "%.*s", slash ? (int)(slash - name) : 0, name);
    return code;
}

static int v_delete(sqlite3_vfs *vfs, const char *path, int sync)
{
    LOCKED;
    (void)vfs;
    int code = real_vfs->xDelete(real_vfs, path, 0);
    const char *name = below(path);
    if (code != SQLITE_OK || !name || known(name) < 0) return code;
    name_do(NAME_REMOVED, name, NULL, -1);
    const char *slash = strrchr(name, '/');
    char directory[PATH_MAX_HERE];
    snprintf(directory, sizeof directory, "%.*s", slash ? (int)(slash - name) : 0, name);
    if (sync) sync_names(directory);
    return code;
}

/* ---- under SQLite's allocator --------------------------------------------------------- */

static sqlite3_mem_methods real_memory;
static atomic_long allocations, allocation_fails_at;

static bool has_none(void)
{
    long nth = atomic_fetch_add(&allocations, 1) + 1, from = atomic_load(&allocation_fails_at);
    return from && nth >= from;
}
static void *m_malloc(int n) { return has_none() ? NULL : real_memory.xMalloc(n); }
static void *m_realloc(void *at, int n) { return has_none() ? NULL : real_memory.xRealloc(at, n); }

int64_t memory_fail_at(int64_t nth)
{
    atomic_store(&allocation_fails_at, 0);
    long before = atomic_exchange(&allocations, 0);
    atomic_store(&allocation_fails_at, (long)nth);
    return before;
}

/* Before anything opens a database. */
__attribute__((constructor)) static void put_shims(void)
{
    sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real_memory);
    static sqlite3_mem_methods shim_memory;
    shim_memory = real_memory;
    shim_memory.xMalloc = m_malloc;
    shim_memory.xRealloc = m_realloc;
    sqlite3_config(SQLITE_CONFIG_MALLOC, &shim_memory);
    static sqlite3_vfs shim_vfs;
    real_vfs = sqlite3_vfs_find(NULL);
    shim_vfs = *real_vfs;
    shim_vfs.szOsFile = (int)sizeof(struct shim_file) + real_vfs->szOsFile;
    shim_vfs.zName = "power";
    shim_vfs.pNext = NULL;
    shim_vfs.xOpen = v_open;
    shim_vfs.xDelete = v_delete;
    sqlite3_vfs_register(&shim_vfs, 1);
    disk = &shim_disk;
}

static char scratch[64];

static int remove_one(const char *path, const struct stat *s, int type, struct FTW *f)
{
    (void)s, (void)type, (void)f;
    return remove(path);
}

static void remove_scratch(void)
{
    if (scratch[0]) nftw(scratch, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const char *power_dir(void)
{
    if (!scratch[0]) atexit(remove_scratch);
    remove_scratch();
    const char *memory = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(scratch, sizeof scratch, "%s/agentd-power-XXXXXX", memory);
    if (!mkdtemp(scratch)) abort();
    return scratch;
}

/* ---- on and off --------------------------------------------------------------------- */

void power_on(const char *directory, const struct world *from, void (*on_cut)(void *), void *arg)
{
    power_off(); /* a test that failed left it on */
    snprintf(top, sizeof top, "%s", directory);
    mkdir(top, 0700);
    if (from) world_write(from, top);
    world = from ? world_copy(from) : calloc(1, sizeof *world);
    assert(world);
    cut_fn = on_cut;
    cut_arg = arg;
    steps = syncs = 0;
}

void power_off(void)
{
    LOCKED;
    world_free(world);
    world = NULL;
    cut_fn = NULL;
    step_fn = NULL;
    fail_at = 0;
}

void power_each_step(void (*fn)(void *, int64_t), void *arg)
{
    LOCKED;
    step_fn = fn;
    step_arg = arg;
}

void power_fail_at(int64_t nth, int error_number)
{
    LOCKED;
    fail_at = error_number ? nth : 0;
    fail_with = error_number;
}

int64_t power_failures(void)
{
    LOCKED;
    return failures;
}
int64_t power_steps(void)
{
    LOCKED;
    return steps;
}
int64_t power_syncs(void)
{
    LOCKED;
    return syncs;
}
