/* llm/providers.c: every provider that the API has a name for, one row each.
 *
 * Addresses are those that the provider documents for its OpenAI-compatible API. No address:
 * it holds the account or the region (Azure, Cloudflare), so the agent must name it with
 * llm_api_base. No translator: the provider has an API of its own that is not spoken yet. The
 * default model is what an agent gets that names only the provider; the others go out of date,
 * which costs one line here. */
#include "llm/llm.h"

const struct llm_provider llm_providers[] = {
    {.name = "openai", .title = "OpenAI", .base = "https://api.openai.com/v1", .model = "gpt-4.1",
     .translator = &llm_openai, .takes_effort = true, .no_effort_with_tools = true},
    {.name = "nim", .title = "NVIDIA NIM", .base = "https://integrate.api.nvidia.com/v1",
     .model = "nvidia/nemotron-3-super-120b-a12b", .translator = &llm_openai},
    {.name = "amazon_bedrock", .title = "Amazon Bedrock", .model = "openai.gpt-oss-120b-1:0"},
    {.name = "azure_ai_foundary", .title = "Azure AI Foundry", .model = "gpt-4.1",
     .translator = &llm_openai, .takes_effort = true, .no_effort_with_tools = true},
    {.name = "huggingFace", .title = "Hugging Face", .base = "https://router.huggingface.co/v1",
     .model = "openai/gpt-oss-120b", .translator = &llm_openai},
    {.name = "friendlyAI", .title = "FriendliAI", .base = "https://api.friendli.ai/serverless/v1",
     .model = "zai-org/GLM-5.2", .translator = &llm_openai, .no_json_with_tools = true},
    {.name = "anthropic", .title = "Anthropic", .base = "https://api.anthropic.com/v1", .model = "claude-sonnet-4-6"},
    {.name = "gemini", .title = "Gemini", .base = "https://generativelanguage.googleapis.com/v1beta/openai",
     .model = "gemini-flash-latest", .translator = &llm_openai, .takes_effort = true, .no_json_with_tools = true},
    {.name = "fireworks", .title = "Fireworks", .base = "https://api.fireworks.ai/inference/v1",
     .model = "accounts/fireworks/models/gpt-oss-120b", .translator = &llm_openai, .takes_effort = true},
    {.name = "google_ai_studio", .title = "Google AI Studio",
     .base = "https://generativelanguage.googleapis.com/v1beta/openai",
     .model = "gemini-flash-latest", .translator = &llm_openai, .takes_effort = true, .no_json_with_tools = true},
    {.name = "helicone", .title = "Helicone", .base = "https://ai-gateway.helicone.ai/v1", .model = "gpt-4o-mini",
     .translator = &llm_openai, .takes_effort = true, .no_effort_with_tools = true},
    {.name = "open_router", .title = "OpenRouter", .base = "https://openrouter.ai/api/v1", .model = "openai/gpt-4.1",
     .translator = &llm_openai, .takes_effort = true},
    {.name = "nebius", .title = "Nebius", .base = "https://api.tokenfactory.nebius.com/v1",
     .model = "meta-llama/Llama-3.3-70B-Instruct", .translator = &llm_openai},
    {.name = "cloudflare_ai_gw", .title = "Cloudflare AI Gateway", .model = "openai/gpt-4.1",
     .translator = &llm_openai},
    {.name = "bytedance", .title = "ByteDance", .base = "https://ark.ap-southeast.bytepluses.com/api/v3",
     .model = "seed-2-0-pro-260328", .translator = &llm_openai},
    {.name = "tzafon_lightcone", .title = "Tzafon Lightcone", .base = "https://api.tzafon.ai/v1",
     .model = "tzafon.northstar-cua-fast", .translator = &llm_openai},
    {0}};

const struct llm_provider *llm_provider_named(struct str name)
{
    if (str_is(name, "bedrock")) name = S("amazon_bedrock"); /* as the pages about invoking spell it */
    for (const struct llm_provider *p = llm_providers; p->name; p++)
        if (str_is(name, p->name)) return p;
    return NULL;
}
