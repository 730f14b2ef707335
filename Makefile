# agentd: `make` builds the debug binary; `make help` lists the rest.
#
# Objects live in build/<flavour>/, so a debug, a release and a sanitizer build
# stand side by side. No configure step: what is missing, dev/deps installs.
ifeq ($(origin CC),default)
CC      := gcc
endif
SAN     ?=
RELEASE ?=
comma   := ,
flavour := $(notdir $(firstword $(CC)))$(if $(RELEASE),-release,-debug)$(if $(SAN),-$(subst $(comma),-,$(SAN)))
B       := build/$(flavour)

WARN    := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wvla -Wmissing-prototypes $(if $(WERROR),-Werror)
COMMON  := -std=c17 -D_GNU_SOURCE -Isrc -I$(B)/gen $(WARN) -g -fno-omit-frame-pointer
ifeq ($(RELEASE),)
OPT     := $(if $(SAN),-O1,-Og) -DAGENTD_DEBUG=1 -fstack-protector-strong
LDOPT   :=
else
OPT     := -O2 -D_FORTIFY_SOURCE=3 -fstack-protector-strong -fPIE -Wframe-larger-than=4096
LDOPT   := -pie -Wl,-z,relro,-z,now
endif
CFLAGS  += $(COMMON) $(OPT) $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all)
LDFLAGS += $(LDOPT) $(if $(SAN),-fsanitize=$(SAN)) -pthread
LDLIBS  := -luv -lcurl -lsqlite3 -lyyjson -lllhttp -lcrypto -lssl -lm

src_c   := $(filter-out src/main.c,$(wildcard src/*.c src/*/*.c src/*/*/*.c))
src_s   := $(wildcard src/*/*.S)
lib_o   := $(src_c:%.c=$(B)/%.o) $(src_s:%.S=$(B)/%.o) $(B)/gen/assets.o
assets  := $(sort $(wildcard migrations/*.sql)) $(wildcard contract/openapi.json)
suites  := unit store flow
test_o   = $(patsubst %.c,$(B)/%.o,$(wildcard tests/*.c tests/$(1)/*.c tests/$(1)/*/*.c))

.PHONY: all race crash help run check layers gen bench clean docs docs-check unit store flow contract tools fuzz fuzz-run fuzz-replay
all: $(B)/agentd tools
help:
	@sed -n 's/^#: //p' Makefile
#: make                debug build            make RELEASE=1        the release binary
#: make run            start on ./data        make unit|store|flow  one test suite
#: make contract       the flow suite, each reply held against contract/openapi.json
#: make check          every suite            SAN=address,undefined the same in sanitizers
#: make race ROUNDS=1000 SEED=2   deletes, stops, messages and streams against each other
#: make fuzz T=json    SECONDS=60 of one target   make fuzz-replay   all kept inputs, once
#: make layers         who may include whom   make gen              routes from the contract
#: make crash N=1000 the server dies at N more writes of a scripted life (SEED=1)
#: make bench          every figure of README make docs             settings and events from tables

$(B)/agentd: $(B)/src/main.o $(lib_o)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# dev/<tool>/*.c: small programs beside agentd (the scripted model, load clients).
tool_dirs := $(patsubst dev/%/,%,$(sort $(dir $(wildcard dev/*/*.c))))
tools: $(tool_dirs:%=$(B)/%)
define tool_rule
$(B)/$(1): $(patsubst %.c,$(B)/%.o,$(wildcard dev/$(1)/*.c))
	$$(CC) $$(LDFLAGS) -o $$@ $$^ $$(tool_libs_$(1))
endef
tool_libs_sqlfloor := -lsqlite3
$(foreach t,$(tool_dirs),$(eval $(call tool_rule,$(t))))

# The plays start the program; the other suites link what they try.
needs_flow := $(B)/agentd tools
define suite_rule
$(B)/tests/$(1).run: $(call test_o,$(1)) $(lib_o)
	$$(CC) $$(LDFLAGS) -o $$@ $$^ $$(LDLIBS)
$(1): $(B)/tests/$(1).run $$(needs_$(1))
	AGENTD_BUILD=$(B) $(B)/tests/$(1).run $(T)
endef
$(foreach s,$(suites),$(eval $(call suite_rule,$(s))))

# The server dies at each write: N points more of the scripted life SEED, remembered in build/crash/done. Its child is
# all of main.c.
N       ?= 1000
DONE    ?= build/crash/done
crash: $(B)/tests/crash.run
	@mkdir -p build/crash
	AGENTD_CRASH_POINTS=$(N) AGENTD_CRASH_SEED=$(SEED) AGENTD_CRASH_DONE=$(DONE) $<
$(B)/tests/crash.run: $(call test_o,crash) $(B)/tests/store/power.o $(B)/tests/crash/agentd.o $(lib_o)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)
$(B)/tests/crash/agentd.o: src/main.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -Wno-missing-prototypes -Dmain=agentd_main -MMD -MP -c -o $@ $<

# The flow suite again, recorded; so `check` runs this one and not both.
contract: $(B)/tests/flow.run $(B)/agentd tools
	dev/gen-routes | cmp - src/api/routes.inc
	tests/contract/check_test.py
	rm -f $(B)/record.jsonl
	AGENTD_BUILD=$(B) AGENTD_RECORD=$(CURDIR)/$(B)/record.jsonl $(B)/tests/flow.run $(T)
	tests/contract/check.py $(B)/record.jsonl

# Many clients against the same few trees; rounds add up in build/race/count.
ROUNDS ?= 400
SEED   ?= 1
race: $(B)/agentd tools
	tests/race/race.py --build $(B) --rounds $(ROUNDS) --seed $(SEED) --count build/race/count

# tests/fuzz/<target>.c: looked at by libFuzzer (clang alone), or replayed without it.
SECONDS ?= 60
fuzz_targets := $(filter-out replay,$(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/*.c)))
fuzz_inputs   = $(wildcard tests/fuzz/corpus/$(1) tests/fuzz/regress/$(1))
fuzz:
	$(MAKE) CC=clang SAN=fuzzer-no-link,address,undefined RELEASE= fuzz-run
fuzz-run: $(B)/tests/fuzz/$(T).fuzz
	@mkdir -p build/fuzz/$(T)
	$< -max_total_time=$(SECONDS) -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
	    -artifact_prefix=build/fuzz/$(T)- build/fuzz/$(T) $(call fuzz_inputs,$(T))
fuzz-replay: $(fuzz_targets:%=$(B)/tests/fuzz/%.replay)
	@set -e; $(foreach t,$(fuzz_targets),$(B)/tests/fuzz/$(t).replay $(call fuzz_inputs,$(t));)
$(B)/tests/fuzz/%.fuzz: $(B)/tests/fuzz/%.o $(lib_o)
	$(CC) $(LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(LDLIBS)
$(B)/tests/fuzz/%.replay: $(B)/tests/fuzz/%.o $(B)/tests/fuzz/replay.o $(lib_o)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)
.SECONDARY: $(fuzz_targets:%=$(B)/tests/fuzz/%.o) $(B)/tests/fuzz/replay.o

$(B)/gen/assets.c: $(assets) dev/embed
	@mkdir -p $(@D)
	dev/embed $(assets) > $@.new && mv $@.new $@
$(B)/gen/assets.o: $(B)/gen/assets.c
	$(CC) $(CFLAGS) -c -o $@ $<
$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -Itests -MMD -MP -c -o $@ $<
$(B)/%.o: %.S
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -c -o $@ $<

bench:
	$(MAKE) RELEASE=1 all
	LDLIBS="$(LDLIBS)" bench/run build/$(notdir $(firstword $(CC)))-release
run: $(B)/agentd
	$(B)/agentd serve
check: layers $(filter-out flow,$(suites)) fuzz-replay docs-check contract
layers:
	dev/layers
gen:
	dev/gen-routes > src/api/routes.inc
# Lists that a table can print are printed.
pages := settings events
docs: $(B)/agentd
	for page in $(pages); do $(B)/agentd $$page > docs/$$page.md; done
docs-check: $(B)/agentd
	set -e; for page in $(pages); do $(B)/agentd $$page | cmp - docs/$$page.md; done
clean:
	rm -rf build
-include $(shell find $(B) -name '*.d' 2>/dev/null)
