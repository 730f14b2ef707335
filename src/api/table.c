/* api/table.c: the contract's operations and who handles them. An operation that nobody handles does not link. */
#include "api/routes.h"

#define INTEGER(where, name_, low_, high_, normal_) \
    {.name = name_, .place = PARAMETER_IN_##where, .kind = PARAMETER_INT, .low = low_, .high = high_, .normal = normal_},
#define FREE(where, name_) {.name = name_, .place = PARAMETER_IN_##where, .kind = PARAMETER_TEXT},
#define FLAG(where, name_, normal_) {.name = name_, .place = PARAMETER_IN_##where, .kind = PARAMETER_BOOL, .normal = normal_},
#define ONE_OF(where, name_, normal_, ...) \
    {.name = name_, .place = PARAMETER_IN_##where, .kind = PARAMETER_ENUM, .normal = normal_, \
     .words = (const char *const[]){__VA_ARGS__, 0}},
#define NOTHING

/* Each row's parameters end with one that has no name, so that none is empty. */
static const struct route routes[] = {
#define ROUTE(method_, template_, handler_, auth_, body_, ...)                                                  \
    {.method = #method_, .path_template = template_, .name = #handler_, .handler = handler_, .auth = auth_,     \
     .body = body_, .parameters = (const struct parameter[]){__VA_ARGS__{0}},                                   \
     .parameters_count = (int)(sizeof((const struct parameter[]){__VA_ARGS__{0}}) / sizeof(struct parameter)) - 1},
#include "api/routes.inc"
#undef ROUTE
};
const struct route_table api_routes = {routes, sizeof routes / sizeof *routes};
