# agentvm: see README.md.  Targets: all deps check demo bench install clean format
VERSION := 0.1.0
BUILD ?= build
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
CC ?= cc
# make V=1 shows the commands.
say = @$(if $(V),,printf '  %-5s %s\n' $(1) $(patsubst $(BUILD)/%,%,$@);)

# make SANITIZE=1 builds into its own folder with ASan and UBSan.
ifdef SANITIZE
BUILD := build/asan
SAN := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
else
HARDEN := -D_FORTIFY_SOURCE=2
endif

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2 \
	-Wno-missing-field-initializers -Werror
CPPFLAGS_ALL := -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DAGENTVM_VERSION='"$(VERSION)"' \
	-DAGENTVM_LIBDIR='"$(LIBDIR)/agentvm"' -Icore -Isdk -include base/banned.h $(HARDEN) $(CPPFLAGS)
CFLAGS_ALL := -std=gnu11 -O2 -g $(WARN) -fPIE -fvisibility=hidden -fstack-protector-strong \
	$(SAN) $(CFLAGS)
LDFLAGS_ALL := -pie -Wl,-z,relro,-z,now -Wl,--as-needed $(SAN) $(LDFLAGS)

# Rooms of the core; guestd links the first three only.
LOW_ROOMS := base proc channel
HIGH_ROOMS := model plugin vm image guest session cli
sources = $(foreach room,$(1),$(wildcard core/$(room)/*.c))
objects = $(patsubst %.c,$(BUILD)/%.o,$(1))

LOW_OBJ := $(call objects,$(call sources,$(LOW_ROOMS)))
HIGH_OBJ := $(call objects,$(filter-out core/cli/main.c,$(call sources,$(HIGH_ROOMS))))
MAIN_OBJ := $(BUILD)/core/cli/main.o
GUESTD_OBJ := $(call objects,$(call sources,guestd))
LIBS := -l:libinih.a -lcjson -l:libmd.a

PLUGINS := $(patsubst plugins/%/,%,$(wildcard plugins/*/))
PLUGIN_SO := $(foreach p,$(PLUGINS),$(BUILD)/plugins/$(p).so)
PLUGIN_INI := $(strip $(foreach p,$(PLUGINS),$(if $(wildcard plugins/$(p)/$(p).ini),$(BUILD)/plugins/$(p).ini)))

all: $(BUILD)/agentvm $(BUILD)/agentvm-guestd $(PLUGIN_SO) $(PLUGIN_INI)

$(BUILD)/liblow.a: $(LOW_OBJ)
$(BUILD)/libhigh.a: $(HIGH_OBJ)
$(BUILD)/%.a:
	$(call say,AR)rm -f $@; $(AR) rcs $@ $^

$(BUILD)/agentvm: $(MAIN_OBJ) $(BUILD)/libhigh.a $(BUILD)/liblow.a
	$(call say,LD)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)

# Static, so that it runs in any guest whatever the host's C library is.
$(BUILD)/agentvm-guestd: $(GUESTD_OBJ) $(BUILD)/liblow.a
	$(call say,LD)$(CC) $(if $(SANITIZE),$(LDFLAGS_ALL),-static-pie -Wl,-z,relro,-z,now $(LDFLAGS)) -o $@ $^ -l:libmd.a

$(BUILD)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

# Plugins see the SDK's folder only.
SDK_H := $(wildcard sdk/agentvm/*.h)
plugin_cc = $(call say,SO)$(CC) -std=c11 -O2 -g $(WARN) -Isdk -fPIC -fvisibility=hidden -shared \
	-Wl,-z,defs -Wl,-z,relro,-z,now -o $@
.SECONDEXPANSION:
$(BUILD)/plugins/%.so: $$(wildcard plugins/%/*.[ch]) $(SDK_H) Makefile
	@mkdir -p $(@D)
	$(plugin_cc) $(wildcard plugins/$*/*.c)

$(BUILD)/plugins/%.ini:
	@mkdir -p $(@D)
	cp plugins/$*/$*.ini $@

$(BUILD)/sdk/%.so: sdk/example/%.c $(SDK_H) Makefile
	@mkdir -p $(@D)
	$(plugin_cc) $<

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

include tests/rules.mk

install: all
	install -D -m 755 $(BUILD)/agentvm $(DESTDIR)$(PREFIX)/bin/agentvm
	install -D -m 755 $(BUILD)/agentvm-guestd $(DESTDIR)$(LIBDIR)/agentvm/agentvm-guestd
	install -d $(DESTDIR)$(LIBDIR)/agentvm/plugins
	install -m 755 $(PLUGIN_SO) $(DESTDIR)$(LIBDIR)/agentvm/plugins/
	$(if $(PLUGIN_INI),install -m 644 $(PLUGIN_INI) $(DESTDIR)$(LIBDIR)/agentvm/plugins/)
	install -d $(DESTDIR)$(PREFIX)/include/agentvm
	install -m 644 $(SDK_H) $(DESTDIR)$(PREFIX)/include/agentvm/
	install -D -m 644 core/cli/agentvm.1 $(DESTDIR)$(PREFIX)/share/man/man1/agentvm.1
	install -D -m 644 core/model/agent.ini.5 $(DESTDIR)$(PREFIX)/share/man/man5/agent.ini.5

# Debian packages for building, running and testing; sudo only where needed.
DEPS := gcc libc6-dev make pkg-config libcjson-dev libinih-dev libmd-dev \
	qemu-system-x86 qemu-utils mmdebstrap uidmap debian-archive-keyring e2fsprogs \
	libcmocka-dev libasan8 libubsan1 clang-format python3 git tmux sudo procps mandoc
deps:
	@missing=; for p in $(DEPS); do \
		dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$p"; \
	done; \
	[ -z "$$missing" ] && exit 0; \
	echo "installing:$$missing"; \
	run=; [ "$$(id -u)" = 0 ] || run=sudo; \
	$$run env DEBIAN_FRONTEND=noninteractive apt-get update -q && \
	$$run env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $$missing

clean:
	rm -rf build

format:
	clang-format -i $$(git ls-files '*.c' '*.h')

.PHONY: all install deps clean format
