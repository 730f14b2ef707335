#include "store/reserve.h"
#include <fcntl.h>
#include <sys/stat.h>
#include "base/log.h"
#include "io/offload.h"
#include "store/disk.h"

static bool is_whole(const struct reserve *r)
{
    struct stat about;
    return stat(r->path, &about) == 0 && about.st_size >= r->bytes;
}

static void empty(const struct reserve *r)
{
    int fd;
    if (!failed(disk_open(r->path, O_WRONLY | O_CREAT | O_TRUNC, &fd))) disk->close(fd);
}

/* A half that was had is given back: somebody may need just that. */
static struct err make(void *arg)
{
    const struct reserve *r = arg;
    int fd;
    if (is_whole(r)) return OK;
    TRY(disk_open(r->path, O_WRONLY | O_CREAT, &fd));
    struct err e = disk_allocate(fd, r->bytes);
    disk->close(fd);
    if (failed(e)) empty(r);
    return e;
}

struct err reserve_make(struct ctx *cx, struct reserve *r)
{
    int64_t given = r->given;
    if (!r->bytes) return OK;
    struct err e = cx->loop ? offload(cx, make, r) : make(r);
    if (given != r->given) empty(r); /* it was asked for meanwhile */
    else if (!failed(e) && r->is_given) log_plain(EVENT_store_has_room);
    if (given == r->given) r->is_given = failed(e);
    return e;
}

void reserve_give(struct reserve *r)
{
    if (!r->bytes) return;
    if (!r->is_given) log_plain(EVENT_store_reserve_given);
    r->is_given = true;
    r->given++;
    empty(r);
}
