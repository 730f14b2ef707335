/* store/master.h: the file with the master key, which wraps all others.
 *
 * 64 hexadecimal digits (what master_make writes), or exactly 32 bytes (what a systemd credential or a
 * key management tool may give).
 *
 * Errors    ERR_NOT_FOUND: no such file; ERR_INVALID: something else is in it; those of disk.h. */
#pragma once
#include "base/err.h"

struct err master_read(const char *path, unsigned char key[32]) MUST_CHECK;
/* A random one, mode 0600, whole or not there at all; its name lasts after disk_sync_directory. */
struct err master_make(const char *path, unsigned char key[32]) MUST_CHECK;
