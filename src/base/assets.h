/* base/assets.h: files of the source tree that live in the binary.
 *
 * dev/embed writes the table at build time (migrations, the contract). */
#pragma once
#include <stddef.h>

struct asset {
    const char *path;           /* as in the tree: "migrations/0001-first.sql" */
    const unsigned char *bytes; /* followed by a zero byte that is not counted */
    size_t bytes_count;
};
extern const struct asset assets[]; /* sorted by path within a folder; ends with a null path */
extern const int assets_count;
