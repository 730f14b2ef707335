/* api/health.c: is it up, and what does it speak? Neither needs a key. */
#include <stdlib.h>
#include "api/call.h"
#include "base/assets.h"

/* GET, HEAD /health */
struct err api_get_health(struct ctx *cx, struct call *call)
{
    (void)cx;
    return reply_json(call, 200, S("\"ok\""));
}

/* GET /openapi.json: the contract that this very program was built from. */
struct err api_get_openapi(struct ctx *cx, struct call *call)
{
    (void)cx;
    for (int i = 0; i < assets_count; i++)
        if (!strcmp(assets[i].path, "contract/openapi.json"))
            return reply_json(call, 200, str_n((const char *)assets[i].bytes, assets[i].bytes_count));
    abort(); /* the build puts it there */
}
