/* engine/model.h: which models this server can speak with, for those who may not ask llm/. */
#pragma once
#include "base/str.h"

enum provider_state {
    PROVIDER_UNKNOWN, /* no such name in the API              */
    PROVIDER_LATER,   /* known, and without a translator yet  */
    PROVIDER_READY,
};
/* `canonical` (may be null) gets the name under which it is stored: "bedrock" is "amazon_bedrock". */
enum provider_state engine_provider(struct str name, struct str *canonical);
/* The model that is used when a provider is named and no model; empty when it has none. */
struct str engine_default_model(struct str provider);
