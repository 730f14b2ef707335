#include "base/assets.h"
#include "base/json.h"
#include "base/url.h"
#include "llm/llm.h"
#include "test.h"

static struct json contract(void)
{
    struct json whole;
    for (const struct asset *a = assets; a->path; a++) {
        if (strcmp(a->path, "contract/openapi.json") != 0) continue;
        CHECK_OK(json_parse_own(test_arena(), str_n((const char *)a->bytes, a->bytes_count), &whole));
        return whole;
    }
    test_fail(__FILE__, __LINE__, "the contract is not embedded");
}

/* Both directions: a name without a row cannot be spoken to, a row without a name cannot be asked for. */
TEST(every_provider_of_the_contract_is_one_row)
{
    struct json schemas = json_get(json_get(contract(), "components"), "schemas");
    struct json names = json_get(json_get(schemas, "ModelProvider"), "enum");
    size_t rows = 0;
    CHECK(json_count(names) > 10);
    for (struct json_each e = json_each(names); json_next(&e);) CHECK(llm_provider_named(json_text(e.item)));
    while (llm_providers[rows].name) rows++;
    CHECK(rows == json_count(names));
}

TEST(every_row_has_a_title_a_model_and_a_plain_address)
{
    for (const struct llm_provider *p = llm_providers; p->name; p++) {
        struct url url;
        const char *reason;
        CHECK(p->title && p->title[0] && p->model && p->model[0]);
        CHECK(llm_provider_named(str(p->name)) == p);
        if (p->base) CHECK(url_parse(test_arena(), str(p->base), &url, &reason) && url.is_https && url.path.count > 1);
    }
}

TEST(bedrock_is_amazon_bedrock_and_unknown_names_are_none)
{
    CHECK(strcmp(llm_provider_named(S("bedrock"))->name, "amazon_bedrock") == 0);
    CHECK(!llm_provider_named(S("OpenAI")) && !llm_provider_named(S("")));
}
