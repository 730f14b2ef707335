/* model/agno.h: the nested settings of an agent, as shapes. */
#pragma once
#include "base/shape.h"

extern const struct shape agno_shape, instructions_shape, credentials_shape, llm_setting_shape, source_node_shape;

struct llm_setting { /* an item of agent.llm_settings */
    int type; /* 0 before, 1 after */
    struct str provider, model;
    double temperature;
};
struct source_node {
    struct str id;
    int type;
    struct str targets, metadata;
};
