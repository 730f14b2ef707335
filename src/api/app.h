/* api/app.h: what every handler may use; made once by main and alive as long as the server. */
#pragma once
#include "base/str.h"
#include "io/wait.h"

struct route_table;
struct store;
struct engine;
struct config;
struct auth_cache;

struct app {
    const struct route_table *routes; /* &api_routes */
    struct store *store;
    struct engine *engine;
    const struct config *config;
    struct auth_cache *auth;
    struct str public_base;      /* "http://127.0.0.1:8700", without a slash at the end */
    struct str default_provider; /* settings; empty = none */
    struct str default_model;
    /* One change of attachments at a time, or two could close a circle that neither sees. */
    bool is_attaching;
    struct gate attaching;
};
