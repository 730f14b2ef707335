#include "store/disk.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static int real_open(const char *path, int flags, int mode) { return open(path, flags | O_CLOEXEC, (mode_t)mode); }

static int real_write_at(int fd, const void *bytes, size_t count, int64_t offset)
{
    const char *at = bytes;
    while (count) {
        ssize_t n = pwrite(fd, at, count, (off_t)offset);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return -1;
        at += n, offset += n, count -= (size_t)n;
    }
    return 0;
}

static int real_allocate(int fd, int64_t count)
{
    errno = posix_fallocate(fd, 0, (off_t)count);
    return errno ? -1 : 0;
}

static int real_sync_directory(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return -1;
    int rc = fsync(fd), saved = errno;
    close(fd);
    errno = saved;
    return rc;
}

static int real_make_directory(const char *path, int mode) { return mkdir(path, (mode_t)mode); }

const struct disk real_disk = {
    .open = real_open,
    .close = close,
    .write_at = real_write_at,
    .allocate = real_allocate,
    .sync = fdatasync,
    .sync_directory = real_sync_directory,
    .rename = rename,
    .make_directory = real_make_directory,
};
const struct disk *disk = &real_disk;

struct err disk_error(int error_number)
{
    switch (error_number) {
    case ENOSPC:
    case EDQUOT: return err(ERR_FULL, "there is no space left on the disk");
    case EACCES:
    case EPERM:
    case EROFS: return err(ERR_DENIED, "the data directory may not be written");
    case ENOENT: return err(ERR_NOT_FOUND, "there is no such file");
    case EEXIST: return err(ERR_CONFLICT, "the file exists already");
    case ENOMEM: return err(ERR_MEMORY, "there is no memory left");
    case EMFILE:
    case ENFILE: return err(ERR_LIMIT, "too many files are open");
    case ENOTDIR: return err(ERR_IO, "a part of the path is not a directory");
    default: return err(ERR_IO, "the disk did not do what it was asked to");
    }
}

static struct err outcome(int rc) { return rc < 0 ? disk_error(errno) : OK; }

struct err disk_open(const char *path, int flags, int *fd)
{
    *fd = disk->open(path, flags, 0600);
    return outcome(*fd);
}

struct err disk_write(int fd, const void *bytes, size_t count, int64_t offset)
{
    return outcome(disk->write_at(fd, bytes, count, offset));
}

struct err disk_allocate(int fd, int64_t count) { return outcome(disk->allocate(fd, count)); }

struct err disk_sync(int fd) { return outcome(disk->sync(fd)); }

struct err disk_sync_directory(const char *path) { return outcome(disk->sync_directory(path)); }

struct err disk_rename(const char *from, const char *to) { return outcome(disk->rename(from, to)); }

struct err disk_make_directory(const char *path) { return outcome(disk->make_directory(path, 0700)); }

struct err disk_read(int fd, void *bytes, size_t count, int64_t offset, size_t *got)
{
    char *at = bytes;
    *got = 0;
    while (*got < count) {
        ssize_t n = pread(fd, at + *got, count - *got, (off_t)(offset + (int64_t)*got));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return disk_error(errno);
        if (n == 0) break;
        *got += (size_t)n;
    }
    return OK;
}
