# The rungs: lint, unit (also under ASan and UBSan), fuzz, fake, vm; tests/run runs them.

UNIT := $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/test_*.c))
UNIT_BIN := $(foreach t,$(UNIT),$(BUILD)/tests/$(t))

$(BUILD)/tests/test_%: $(BUILD)/tests/unit/test_%.o $(BUILD)/libhigh.a $(BUILD)/liblow.a
	$(call say,LD)$(CC) $(LDFLAGS_ALL) -o $@ $^ -lcmocka $(LIBS)

unit-bin: $(UNIT_BIN)

# With FUZZ=1.
FUZZ_BIN := $(patsubst tests/fuzz/%.c,$(BUILD)/tests/%,$(wildcard tests/fuzz/fuzz_*.c))

$(BUILD)/tests/fuzz_%: $(BUILD)/tests/fuzz/fuzz_%.o $(BUILD)/libhigh.a $(BUILD)/liblow.a
	$(call say,LD)$(CC) $(LDFLAGS_ALL) -fsanitize=fuzzer -o $@ $^ $(LIBS)

fuzz-bin: $(FUZZ_BIN)

# Plugins that misbehave (test_plugin, test_hook) and those that must not (test_claude, test_codex, test_chrome_mcp).
TEST_PLUGIN_SO := $(patsubst tests/plugins/%.c,$(BUILD)/tests/plugins/%.so,$(wildcard tests/plugins/*.c))

$(BUILD)/tests/plugins/%.so: tests/plugins/%.c $(SDK_H) Makefile
	@mkdir -p $(@D)
	$(plugin_cc) -D_GNU_SOURCE $(PLUGIN_LAST) $<

# One that was linked without care.
$(BUILD)/tests/plugins/undefined.so: PLUGIN_LAST := -Wl,-z,undefs

# The SDK's examples are built by the tests; what is installed is their source.
SDK_SO := $(patsubst sdk/example/%.c,$(BUILD)/sdk/%.so,$(wildcard sdk/example/*.c))

# One plugin for each released header of the interface, as its authors had it.
ABI_VERSIONS := $(patsubst tests/abi/%/agentvm/plugin.h,%,$(wildcard tests/abi/*/agentvm/plugin.h))
ABI_SO := $(foreach v,$(ABI_VERSIONS),$(BUILD)/tests/abi/$(v)/agent.so $(BUILD)/tests/abi/$(v)/tool.so)

define abi_rule
$(BUILD)/tests/abi/$(1)/%.so: OLD_SDK := tests/abi/$(1)
$(BUILD)/tests/abi/$(1)/%.so: tests/abi/%.c tests/abi/$(1)/agentvm/plugin.h Makefile
	@mkdir -p $$(@D)
	$$(plugin_cc) $$<
endef
$(foreach v,$(ABI_VERSIONS),$(eval $(call abi_rule,$(v))))

$(BUILD)/tests/test_abi: | $(ABI_SO)
$(BUILD)/tests/test_trial: | $(PLUGIN_SO) $(SDK_SO) $(TEST_PLUGIN_SO)
$(BUILD)/tests/test_check: | $(PLUGIN_SO) $(SDK_SO) $(TEST_PLUGIN_SO)
$(BUILD)/tests/test_plugin $(BUILD)/tests/test_hook: | $(TEST_PLUGIN_SO)
$(BUILD)/tests/test_guestd $(BUILD)/tests/test_guestd_wire $(BUILD)/tests/test_ports $(BUILD)/tests/test_ports_wire: | $(BUILD)/agentvm-guestd
$(BUILD)/tests/test_claude: | $(BUILD)/plugins/claude.so $(BUILD)/sdk/hello.so $(TEST_PLUGIN_SO)
$(BUILD)/tests/test_codex: | $(BUILD)/plugins/codex.so $(TEST_PLUGIN_SO)
$(BUILD)/tests/test_chrome_mcp: | $(BUILD)/plugins/chrome-mcp.so

# Everything that a rung needs; what is sanitized in a make of its own, as BUILD differs.
SANITIZED = +$(MAKE) --no-print-directory SANITIZE=1
FUZZED = +$(MAKE) --no-print-directory FUZZ=1
check-build: all unit-bin $(SDK_SO)
	$(SANITIZED) unit-bin
	$(FUZZED) fuzz-bin

check: check-build
	tests/run all

check-lint: all $(SDK_SO)
	tests/run lint
check-unit: all unit-bin
	tests/run unit
check-asan:
	$(SANITIZED) unit-bin
	tests/run asan
check-fuzz:
	$(FUZZED) fuzz-bin
	tests/run fuzz
check-fake check-vm: check-%: all $(SDK_SO) $(TEST_PLUGIN_SO)
	tests/run $*

# What takes longer than a check may: an hour for each of the targets is make fuzz FUZZ_SECONDS=3600.
FUZZ_SECONDS ?= 60
fuzz:
	$(FUZZED) fuzz-bin
	FUZZ_SECONDS=$(FUZZ_SECONDS) tests/run fuzz
soak: all
	tests/vm/soak </dev/null

bench: all $(SDK_SO)
	tests/bench/run

# One after the other: what deps installs is needed to build.
demo:
	$(MAKE) --no-print-directory deps
	$(MAKE) --no-print-directory all
	tests/demo/run

.PHONY: unit-bin fuzz-bin check check-build check-lint check-unit check-asan check-fuzz check-fake \
	check-vm fuzz soak bench demo
