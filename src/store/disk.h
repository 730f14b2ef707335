/* store/disk.h: every byte that the keyring and we ourselves put on a disk goes through here.
 *
 * So a test can stand between us and the disk: cut the power, fill the disk, count the
 * writes. (SQLite's own writes go through its VFS, which a test replaces likewise.)
 *
 * Threads   Any. `disk` is changed by tests only, before anything is opened.
 * Errors    ERR_FULL, ERR_DENIED, ERR_NOT_FOUND, ERR_CONFLICT (it exists already), ERR_MEMORY, ERR_IO. */
#pragma once
#include "base/err.h"
#include <stddef.h>
#include <stdint.h>

struct disk { /* each gives -1 and errno when it fails, like the calls of the system */
    int (*open)(const char *path, int flags, int mode);
    int (*close)(int fd);
    int (*write_at)(int fd, const void *bytes, size_t count, int64_t offset); /* all of it */
    int (*allocate)(int fd, int64_t count); /* room for so many bytes */
    int (*sync)(int fd);
    int (*sync_directory)(const char *path);
    int (*rename)(const char *from, const char *to);
    int (*make_directory)(const char *path, int mode);
};
extern const struct disk real_disk;
extern const struct disk *disk;

struct err disk_open(const char *path, int flags, int *fd) MUST_CHECK; /* mode 0600, never inherited */
struct err disk_write(int fd, const void *bytes, size_t count, int64_t offset) MUST_CHECK;
struct err disk_allocate(int fd, int64_t count) MUST_CHECK;
struct err disk_sync(int fd) MUST_CHECK;
/* Until this returns, files that were made or renamed in the directory may be gone after a power cut. */
struct err disk_sync_directory(const char *path) MUST_CHECK;
struct err disk_rename(const char *from, const char *to) MUST_CHECK;
struct err disk_make_directory(const char *path) MUST_CHECK; /* mode 0700 */
/* Fewer bytes only at the end of the file. */
struct err disk_read(int fd, void *bytes, size_t count, int64_t offset, size_t *got) MUST_CHECK;
/* What errno says, as an error. */
struct err disk_error(int error_number) MUST_CHECK;
