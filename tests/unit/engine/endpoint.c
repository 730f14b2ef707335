/* Whose key goes where: every way in which an agent or a call may name a model. */
#include "engine/endpoint.h"
#include "test.h"

static struct engine_settings settings;
static struct agent agent;
static struct agent_secret secret;
static struct task task;
static struct llm_model model;

/* An agent of this provider, base and key, and a turn of this provider. */
static struct err endpoint(const char *agents, const char *base, const char *key, const char *turns)
{
    settings = (struct engine_settings){.operator_key = S("operator"), .operator_base = S("https://operator.example/v1")};
    shape_defaults(test_arena(), &agent_shape, &agent);
    shape_defaults(test_arena(), &agent_secret_shape, &secret);
    agent.model_provider = str(agents);
    if (base) agent.llm_api_base = str(base);
    if (key) {
        agent.llm_credentials = (struct credentials){.is_there = true, .name = S("k"), .value = S(MASK)};
        secret.key = str(key);
    }
    task = (struct task){.model_provider = str(turns), .model_name = S("m"), .org = 7};
    return endpoint_of(test_arena(), &settings, &task, &agent, &secret, &model);
}

TEST(what_an_agent_leaves_out_is_the_operators)
{
    CHECK_OK(endpoint("openai", 0, 0, "openai"));
    CHECK(str_is(model.base, "https://operator.example/v1") && str_is(model.key, "operator") && model.is_operators && model.tenant == 7);
}

TEST(an_agents_own_key_goes_to_the_operators_address_in_its_place)
{
    CHECK_OK(endpoint("openai", 0, "tenant", "openai"));
    CHECK(str_is(model.key, "tenant") && model.is_operators);
}

TEST(an_agents_own_address_never_gets_the_operators_key)
{
    CHECK_OK(endpoint("openai", "https://tenant.example/v1", 0, "openai"));
    CHECK(str_is(model.base, "https://tenant.example/v1") && !model.key.count && !model.is_operators);
    /* Not even when it is the operator's by its letters: it is the tenant's, and goes through the guard. */
    CHECK_OK(endpoint("openai", "https://operator.example/v1", 0, "openai"));
    CHECK(!model.key.count && !model.is_operators);
}

TEST(another_provider_never_gets_the_operators_key)
{
    CHECK_OK(endpoint("open_router", 0, 0, "open_router"));
    CHECK(model.base.count && !model.key.count && !model.is_operators);
    CHECK(!str_is(model.base, "https://operator.example/v1"));
}

TEST(an_override_of_the_provider_leaves_the_agents_address_and_key_behind)
{
    CHECK_OK(endpoint("openai", "https://tenant.example/v1", "tenant", "open_router"));
    CHECK(!str_is(model.base, "https://tenant.example/v1") && !model.key.count && !model.headers.count);
    /* Back to the operator's provider: the operator's address and key, for it is the operator's address. */
    CHECK_OK(endpoint("open_router", "https://tenant.example/v1", "tenant", "openai"));
    CHECK(str_is(model.base, "https://operator.example/v1") && str_is(model.key, "operator") && model.is_operators);
}

TEST(a_provider_without_an_address_or_a_translator_is_a_sentence)
{
    CHECK(endpoint("azure_ai_foundary", 0, 0, "azure_ai_foundary").code == ERR_UPSTREAM);
    CHECK(endpoint("amazon_bedrock", 0, 0, "amazon_bedrock").code == ERR_UPSTREAM);
    CHECK(endpoint("nobody", 0, 0, "nobody").code == ERR_UPSTREAM);
}
