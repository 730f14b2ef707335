#include "engine/model.h"

#include "test.h"

TEST(a_provider_is_ready_comes_later_or_is_unknown)
{
    struct str name;

    CHECK(engine_provider(S("openai"), &name) == PROVIDER_READY && str_is(name, "openai"));
    CHECK(engine_provider(S("bedrock"), &name) == PROVIDER_LATER && str_is(name, "amazon_bedrock"));
    CHECK(engine_provider(S("OpenAI"), &name) == PROVIDER_UNKNOWN && name.count == 0);
    CHECK(engine_provider(S(""), 0) == PROVIDER_UNKNOWN);
}

TEST(a_provider_has_a_default_model)
{
    CHECK(str_is(engine_default_model(S("openai")), "gpt-4.1"));
    CHECK(str_is(engine_default_model(S("nobody")), ""));
}
