#include "engine/model.h"

#include "llm/llm.h"

enum provider_state engine_provider(struct str name, struct str *canonical)
{
    const struct llm_provider *provider = llm_provider_named(name);

    if (canonical) *canonical = provider ? str(provider->name) : S("");
    if (!provider) return PROVIDER_UNKNOWN;
    return provider->translator ? PROVIDER_READY : PROVIDER_LATER;
}

struct str engine_default_model(struct str provider)
{
    const struct llm_provider *found = llm_provider_named(provider);

    return found && found->model ? str(found->model) : S("");
}
