/* api/once.h: the Idempotency-Key of a request that creates. */
#pragma once
#include "api/call.h"
#include "store/idempotent.h"

/* What the header says, as the store knows it; out->hash.at = null when it was not sent. One that is no key is a fault
 * (contract: 1 to 255 printable ASCII characters). Call it after the object of the path was found, before the body is read. */
struct err call_once(struct ctx *, struct call *, struct idempotent *out) MUST_CHECK;
