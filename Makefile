# agentvm: see README.md.  Targets: all deps check demo bench fuzz soak install uninstall clean format
VERSION := 0.1.0
BUILD ?= build
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
PKGCONFIG_DIR ?= $(LIBDIR)/pkgconfig
ZSH_DIR ?= $(PREFIX)/share/zsh/site-functions
CC ?= cc
# make V=1 shows the commands.
say = @$(if $(V),,printf '  %-5s %s\n' $(1) $(patsubst $(BUILD)/%,%,$@);)

# make SANITIZE=1 builds into its own folder with ASan and UBSan, FUZZ=1 into another for libFuzzer, too.
ifdef FUZZ
BUILD := build/fuzz
CC := clang
SAN := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
else ifdef SANITIZE
BUILD := build/asan
SAN := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
else
HARDEN := -D_FORTIFY_SOURCE=2
endif

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2 \
	-Wno-missing-field-initializers -Werror
CPPFLAGS_ALL := -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DAGENTVM_VERSION='"$(VERSION)"' \
	-DAGENTVM_LIBDIR='"$(LIBDIR)/agentvm"' -Icore -Isdk -include base/banned.h $(HARDEN) $(CPPFLAGS)
# Two builds of the same sources are the same bytes, wherever they are made.
REPRODUCIBLE := -ffile-prefix-map=$(CURDIR)=.
CFLAGS_ALL := -std=gnu11 -O2 -g $(WARN) -fPIE -fvisibility=hidden -fstack-protector-strong \
	$(REPRODUCIBLE) $(SAN) $(CFLAGS)
LDFLAGS_ALL := -pie -Wl,-z,relro,-z,now -Wl,--as-needed $(SAN) $(LDFLAGS)

# Rooms of the core; guestd links the first three only.
LOW_ROOMS := base proc channel
HIGH_ROOMS := model plugin vm image guest state supervisor session cli
sources = $(foreach room,$(1),$(wildcard core/$(room)/*.c))
objects = $(patsubst %.c,$(BUILD)/%.o,$(1))

LOW_OBJ := $(call objects,$(call sources,$(LOW_ROOMS)))
HIGH_OBJ := $(call objects,$(filter-out core/cli/main.c,$(call sources,$(HIGH_ROOMS))))
MAIN_OBJ := $(BUILD)/core/cli/main.o
GUESTD_OBJ := $(call objects,$(call sources,guestd))
FAKEHOST_OBJ := $(call objects,$(call sources,fakehost))
LIBS := -l:libinih.a -lcjson -l:libmd.a -l:libvterm.a

PLUGINS := $(patsubst plugins/%/,%,$(wildcard plugins/*/))
PLUGIN_SO := $(foreach p,$(PLUGINS),$(BUILD)/plugins/$(p).so)
PLUGIN_INI := $(strip $(foreach p,$(PLUGINS),$(if $(wildcard plugins/$(p)/$(p).ini),$(BUILD)/plugins/$(p).ini)))

all: $(BUILD)/agentvm $(BUILD)/agentvm-guestd $(BUILD)/agentvm-fakehost $(PLUGIN_SO) $(PLUGIN_INI)

$(BUILD)/liblow.a: $(LOW_OBJ)
$(BUILD)/libhigh.a: $(HIGH_OBJ)
$(BUILD)/%.a:
	$(call say,AR)rm -f $@; $(AR) rcs $@ $^

$(BUILD)/agentvm: $(MAIN_OBJ) $(BUILD)/libhigh.a $(BUILD)/liblow.a
	$(call say,LD)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)

# Calls a plugin's hooks for its author, through the same plugin host.
$(BUILD)/agentvm-fakehost: $(FAKEHOST_OBJ) $(BUILD)/libhigh.a $(BUILD)/liblow.a
	$(call say,LD)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)

# Static, so that it runs in any guest whatever the host's C library is.
$(BUILD)/agentvm-guestd: $(GUESTD_OBJ) $(BUILD)/liblow.a
	$(call say,LD)$(CC) $(if $(SANITIZE),$(LDFLAGS_ALL),-static-pie -Wl,-z,relro,-z,now $(LDFLAGS)) -o $@ $^ -l:libmd.a

$(BUILD)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

# What .incbin reads, which -MMD does not see.
$(BUILD)/core/image/base_image.o: core/image/customize.sh
$(BUILD)/core/cli/cmd_completion.o: $(wildcard core/cli/completion.*)
$(BUILD)/core/plugin/scaffold.o: $(wildcard sdk/template/*)

# Plugins see the SDK's folder only.
SDK_H := $(wildcard sdk/agentvm/*.h)
plugin_cc = $(call say,SO)$(CC) -std=c11 -O2 -g $(WARN) $(if $(OLD_SDK),-I$(OLD_SDK),-Isdk) \
	$(REPRODUCIBLE) $(PLUGIN_SAN) $(HARDEN) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -fPIC -fvisibility=hidden \
	-fstack-protector-strong -shared -Wl,-z,defs -Wl,-z,relro,-z,now -o $@
# The plugins of tests, which misbehave, go without sanitizers.
$(BUILD)/plugins/%.so $(BUILD)/sdk/%.so: PLUGIN_SAN := $(SAN)
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

# What the plugin interface calls itself, as MAJOR.MINOR.
ABI = $(shell awk '/define AGENTVM_ABI_M/ { v = v s $$3; s = "." } END { print v }' sdk/agentvm/plugin.h)
# Every file that install writes and uninstall takes away, without DESTDIR.
PLUGIN_DIR := $(LIBDIR)/agentvm/plugins
MAN_DIR := $(PREFIX)/share/man
DOC_DIR := $(PREFIX)/share/doc/agentvm
MAN1 := core/cli/agentvm.1 sdk/agentvm-fakehost.1
MAN5 := core/model/agentvm.ini.5 core/model/agentvm-files.5
# agentvm-COMMAND(1), which man agentvm COMMAND finds, is agentvm(1).
COMMANDS := $(shell sed -n 's/^    {"\([a-z]*\)", ".*/\1/p' core/cli/main.c)
MAN_LINKS := $(COMMANDS:%=$(MAN_DIR)/man1/agentvm-%.1)
BASH_FILE := $(PREFIX)/share/bash-completion/completions/agentvm
ZSH_FILE := $(ZSH_DIR)/_agentvm
FISH_FILE := $(PREFIX)/share/fish/vendor_completions.d/agentvm.fish
INSTALLED = $(PREFIX)/bin/agentvm $(PREFIX)/bin/agentvm-fakehost $(LIBDIR)/agentvm/agentvm-guestd \
	$(addprefix $(PLUGIN_DIR)/,$(notdir $(PLUGIN_SO) $(PLUGIN_INI))) \
	$(addprefix $(PREFIX)/include/agentvm/,$(notdir $(SDK_H))) $(PKGCONFIG_DIR)/agentvm-plugin.pc \
	$(addprefix $(MAN_DIR)/man1/,$(notdir $(MAN1))) $(MAN_DIR)/man3/agentvm-plugin.3 \
	$(addprefix $(MAN_DIR)/man5/,$(notdir $(MAN5))) $(MAN_LINKS) $(BASH_FILE) $(ZSH_FILE) $(FISH_FILE) \
	$(addprefix $(DOC_DIR)/,plugins.md $(addprefix example/,$(notdir $(wildcard sdk/example/*.c))))
# Folders of our own, which uninstall removes when they are empty.
INSTALLED_DIRS = $(PLUGIN_DIR) $(LIBDIR)/agentvm $(PREFIX)/include/agentvm $(DOC_DIR)/example $(DOC_DIR)

install: all
	install -D -m 755 $(BUILD)/agentvm $(DESTDIR)$(PREFIX)/bin/agentvm
	install -D -m 755 $(BUILD)/agentvm-fakehost $(DESTDIR)$(PREFIX)/bin/agentvm-fakehost
	install -D -m 755 $(BUILD)/agentvm-guestd $(DESTDIR)$(LIBDIR)/agentvm/agentvm-guestd
	install -d -m 755 $(DESTDIR)$(PLUGIN_DIR) $(addprefix $(DESTDIR)$(MAN_DIR)/,man1 man3 man5) \
		$(DESTDIR)$(PKGCONFIG_DIR) $(DESTDIR)$(DOC_DIR)/example
	install -m 755 $(PLUGIN_SO) $(DESTDIR)$(PLUGIN_DIR)/
	$(if $(PLUGIN_INI),install -m 644 $(PLUGIN_INI) $(DESTDIR)$(PLUGIN_DIR)/)
	install -d -m 755 $(DESTDIR)$(PREFIX)/include/agentvm
	install -m 644 $(SDK_H) $(DESTDIR)$(PREFIX)/include/agentvm/
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@ABI@|$(ABI)|' \
		sdk/agentvm-plugin.pc.in >$(DESTDIR)$(PKGCONFIG_DIR)/agentvm-plugin.pc
	chmod 644 $(DESTDIR)$(PKGCONFIG_DIR)/agentvm-plugin.pc
	install -m 644 $(MAN1) $(DESTDIR)$(MAN_DIR)/man1/
	install -m 644 sdk/agentvm-plugin.3 $(DESTDIR)$(MAN_DIR)/man3/
	install -m 644 $(MAN5) $(DESTDIR)$(MAN_DIR)/man5/
	for link in $(MAN_LINKS); do ln -sf agentvm.1 $(DESTDIR)$$link || exit 1; done
	install -D -m 644 core/cli/completion.bash $(DESTDIR)$(BASH_FILE)
	install -D -m 644 core/cli/completion.zsh $(DESTDIR)$(ZSH_FILE)
	install -D -m 644 core/cli/completion.fish $(DESTDIR)$(FISH_FILE)
	install -m 644 sdk/README.md $(DESTDIR)$(DOC_DIR)/plugins.md
	install -m 644 $(wildcard sdk/example/*.c) $(DESTDIR)$(DOC_DIR)/example/

uninstall:
	rm -f $(addprefix $(DESTDIR),$(INSTALLED))
	rmdir $(addprefix $(DESTDIR),$(INSTALLED_DIRS)) 2>/dev/null || true

# Debian packages for building, running and testing; sudo only where needed.
DEPS := gcc libc6-dev make pkg-config libcjson-dev libinih-dev libmd-dev libvterm-dev \
	qemu-system-x86 qemu-utils mmdebstrap uidmap debian-archive-keyring e2fsprogs \
	libcmocka-dev libasan8 libubsan1 clang libclang-rt-dev clang-format python3 git openssh-client tmux sudo procps iproute2 mandoc groff-base \
	build-essential dpkg-dev debhelper lintian zsh fish ripgrep
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

.PHONY: all install uninstall deps clean format
