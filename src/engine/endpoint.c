#include "engine/endpoint.h"

struct err endpoint_of(struct arena *a, const struct engine_settings *settings, const struct task *task,
                       const struct agent *agent, const struct agent_secret *secret, struct llm_model *out)
{
    const struct llm_provider *provider = llm_provider_named(task->model_provider);
    if (!provider || !provider->translator)
        return errf(a, ERR_UPSTREAM, "agentd cannot speak to the provider %.200s yet", str_z(a, task->model_provider));
    bool is_agents = str_eq(task->model_provider, agent->model_provider);
    *out = (struct llm_model){.provider = provider, .name = task->model_name, .tenant = task->org};
    if (is_agents) {
        out->base = agent->llm_api_base;
        out->key = agent_key(agent, secret);
        out->headers = agent_headers(a, agent, secret);
    }
    if (out->base.count) return OK;

    /* No address of the agent's own: the operator's, or where the provider is known to live. */
    bool is_operators = str_is(str(provider->name), "openai");
    out->base = is_operators && settings->operator_base.count ? settings->operator_base : str(provider->base);
    out->is_operators = is_operators;
    if (is_operators && !out->key.count) out->key = settings->operator_key;
    if (!out->base.count)
        return errf(a, ERR_UPSTREAM, "%s has no address of its own: set llm_api_base", provider->title);
    return OK;
}
