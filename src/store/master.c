#include "store/master.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include "base/crypto.h"
#include "store/disk.h"

enum { HEX_BYTES = 2 * CRYPTO_KEY_BYTES };

static int digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool from_hex(struct str hex, unsigned char *key)
{
    if (hex.count != HEX_BYTES) return false;
    for (size_t i = 0; i < CRYPTO_KEY_BYTES; i++) {
        int high = digit(hex.at[2 * i]), low = digit(hex.at[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        key[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

struct err master_read(const char *path, unsigned char key[32])
{
    char text[HEX_BYTES + 64];
    size_t count = 0;
    int fd;
    TRY(disk_open(path, O_RDONLY, &fd));
    struct err e = disk_read(fd, text, sizeof text, 0, &count);
    disk->close(fd);
    if (!failed(e) && !from_hex(str_trim(str_n(text, count)), key)) {
        if (count == CRYPTO_KEY_BYTES) memcpy(key, text, CRYPTO_KEY_BYTES);
        else e = err(ERR_INVALID, "the file of the master key holds no key");
    }
    explicit_bzero(text, sizeof text);
    return e;
}

struct err master_make(const char *path, unsigned char key[32])
{
    char unfinished[1200], text[HEX_BYTES + 2];
    int fd;
    if (snprintf(unfinished, sizeof unfinished, "%s.new", path) >= (int)sizeof unfinished - 1)
        return err(ERR_INVALID, "the path of the data directory is too long");
    crypto_random_key(key);
    for (size_t i = 0; i < CRYPTO_KEY_BYTES; i++) snprintf(text + 2 * i, 4, "%02x\n", key[i]);
    TRY(disk_open(unfinished, O_WRONLY | O_CREAT | O_TRUNC, &fd));
    struct err e = disk_write(fd, text, HEX_BYTES + 1, 0);
    if (!failed(e)) e = disk_sync(fd);
    disk->close(fd);
    explicit_bzero(text, sizeof text);
    if (!failed(e)) e = disk_rename(unfinished, path);
    return e;
}
