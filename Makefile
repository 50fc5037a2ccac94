# spillway: one folder = one archive = one rule about what its code may call.
#
#   config/             text -> settings                    libconfig.a      includes nothing of ours
#   supervisor/policy/  samples -> plan; pure               libpolicy.a      itself, config/config.h
#   supervisor/*/       plan -> effects, and the loop       libsupervisor.a  policy, config, shim/protocol.h
#   shim/heap/          the allocator; pure of libc         libheap.a        itself, shim/figures.h, C headers
#   shim/               the preload library                 libspillway.so   shim/heap, shim/protocol.h, policy
#   shim/agent/         other allocators in the heap's place  libspillway-agent.so  shim, headers of shim/heap
#   tests/<room>/       unit tests of that archive          tests/<room>/test_*
#   tests/fuzz/         streams of operations on the heap   tests/fuzz/test_*, fuzz_* (libFuzzer's)
#
# Everything lands in build/<variant>/; a variant is release, or what SAN= names; FUZZ=1 is clang's
# ASan+UBSan with what is fuzzed instrumented for libFuzzer.

ifneq ($(FUZZ),)
VARIANT := fuzz
CC := clang
SAN := address,undefined
else ifeq ($(SAN),)
VARIANT := release
else ifeq ($(SAN),address,undefined)
VARIANT := asan
else ifeq ($(SAN),thread)
VARIANT := tsan
else
$(error SAN=$(SAN): expected "address,undefined" or "thread")
endif
OUT := build/$(VARIANT)

# The system calls of other architectures are not written (shim/kernel.h).
MACHINE := $(firstword $(subst -, ,$(shell $(CC) -dumpmachine 2>/dev/null)))
ifneq ($(filter-out x86_64 aarch64,$(MACHINE)),)
ifneq ($(filter-out clean deps format help uninstall,$(or $(MAKECMDGOALS),all)),)
$(error $(CC) compiles for $(MACHINE), expected x86_64 or aarch64)
endif
endif

# A plain user's PATH lacks where depmod, nginx and setcap are.
ifeq ($(findstring :/usr/sbin:,:$(PATH):),)
export PATH := $(PATH):/usr/local/sbin:/usr/sbin:/sbin
endif

# A line for each file that is made; V=1 shows the commands, make -s neither.
ifneq ($(V),1)
say = @$(if $(findstring s,$(firstword -$(MAKEFLAGS))),,echo "  $(1)  $(2)";)
endif

PREFIX ?= /usr/local
VERSION := 0.1.0
# With a sanitizer the program is run a few times and compiled each time: less of both helps most.
CFLAGS ?= $(if $(SAN),-O1 -g1,-O2 -g)

FLAGS := -std=gnu11 -I. -DSPILLWAY_VERSION='"$(VERSION)"' -D_GNU_SOURCE -MMD -MP -pthread \
	-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla \
	-Wwrite-strings -Wimplicit-fallthrough -fno-strict-aliasing -fstack-protector-strong \
	-ffunction-sections
# Hardening; tests/support/check_hardened names what it comes to in each file.  -fstack-protector-strong is
# above: a libc that has __stack_chk_fail has its canary, too.  Checked copies (fortify) are functions of glibc
# alone, and what the library is made of runs under every libc, so neither the shim nor the rooms that it
# shares have them, whatever CPPFLAGS say.  No kernel enforces IBT in programs, and its instruction would be
# one more in each malloc: the library is marked for the shadow stack only, which a service that has one
# would lose by loading a library without the mark.
GCC := $(if $(findstring Free Software,$(shell $(CC) --version 2>/dev/null)),$(shell $(CC) -dumpversion 2>/dev/null))
FORTIFY := $(if $(filter-out 4 5 6 7 8 9 10 11,$(firstword $(subst ., ,$(GCC)))),3,2)
shared = $(filter shim/% config/% supervisor/policy/%,$(1))
fortify = $(if $(SAN)$(filter -O0,$(CFLAGS))$(call shared,$(1)),,$(if $(filter supervisor/%,$(1)),-D_FORTIFY_SOURCE=$(FORTIFY)))
X86 := $(filter x86_64,$(MACHINE))
FLAGS += -fPIE -fstack-clash-protection
hard = -U_FORTIFY_SOURCE $(call fortify,$(1)) $(if $(X86),-fcf-protection=$(if $(call shared,$(1)),return,full))
LINK_HARD := -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack
# The archives hold more than each program uses: a preload's every page is locked by mlockall.
LINK_SMALL := -Wl,--gc-sections
FLAGS_fuzz := $(if $(FUZZ),-fsanitize=fuzzer-no-link)
FLAGS_shim := -fPIC -fvisibility=hidden -ftls-model=initial-exec -fno-builtin-malloc -fno-builtin-calloc
# What the preload library has of other rooms: no exception passes through it, and debuggers have .debug_frame.
FLAGS_shared := -fPIC -fvisibility=hidden -fno-asynchronous-unwind-tables
# Cold code: in the library its size counts, since mlockall locks every page, and in the supervisor
# each page that is mapped is memory of its own.
HOT := $(addprefix shim/,preload.c operators.c os_linux.c)
small = $(if $(filter supervisor/% config/%,$(1))$(filter-out shim/heap/% $(HOT),$(filter shim/%,$(1))),-Os)
ifneq ($(SAN),)
FLAGS += -fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all
endif
ifeq ($(CI),true)
FLAGS += -Werror
endif

LIBS_config := -linih
# Linked in where the compiler finds an archive: loading a library takes a wrapped command longer than
# all that it does with it.
archive = $(if $(findstring /,$(shell $(CC) -print-file-name=lib$(1).a)),-l:lib$(1).a,-l$(1))
LIBS_json := $(call archive,jansson)
LIBS_supervisor := -lcgroup $(call archive,event_extra) $(LIBS_json) -levent_core
LIBS_program := $(foreach l,cgroup event_extra jansson event_core inih,$(call archive,$(l)))
# So is libc itself, into the supervisor, where there is an archive of that: no loader runs before main.
# LIBC=shared has it loaded.
LIBC ?= $(if $(SAN),shared,$(if $(findstring /,$(shell $(CC) -print-file-name=libc.a)),archive,shared))
# --no-warnings: glibc warns of functions that load modules, which libevent's HTTP has and we do not call.
LINK_libc = $(if $(filter archive,$(LIBC)),-static-pie -Wl$(comma)--no-warnings,-pie)
# Which code lies side by side: the script says why.  The kernel maps 64 KiB from such an address at a time.
LINK_order = $(if $(SAN),,-Wl$(comma)-T$(comma)supervisor/order.ld -Wl$(comma)-z$(comma)max-page-size=0x10000 -Wl$(comma)-Map=$(OUT)/spillway.map)
LIBS_client := $(LIBS_json) $(call archive,ncursesw) $(call archive,tinfo)
LIBS_tests := -lcmocka

# The kernel maps a file's pages 64 kB at a time, so what every supervisor runs while nothing happens
# comes first and side by side, and what few of them ever run last.
COLD := $(addprefix supervisor/,check.c copy.c control/% client/% base/manager.c base/output% base/rotating_file.c \
	cgroup/brake% cgroup/reclaim_worker.c cgroup/cgroup_le% cgroup/cgroup_li% cgroup/cgroup_tree.c \
	fleet/fleet_a% fleet/fleet_c% fleet/fleet_d% fleet/fleet_m% fleet/fleet_status.c fleet/left_% \
	fleet/reload.c fleet/probe.c fleet/notify_socket.c fleet/service_left.c link/link_left.c)
WARM = $(patsubst %.c,$(OUT)/%.o,$(filter-out $(COLD),$(wildcard supervisor/*.c supervisor/*/*.c) \
	$(addprefix config/,config.c command.c defaults.c names.c)))

comma := ,
# $(call room,FOLDER): its objects, the folder being the rule.
room = $(patsubst %.c,$(OUT)/%.o,$(filter-out supervisor/main.c,$(wildcard $(1)/*.c)))
CONFIG := $(OUT)/libconfig.a
POLICY := $(OUT)/libpolicy.a
SUPERVISOR := $(OUT)/libsupervisor.a
HEAP := $(OUT)/libheap.a
SUPPORT := $(OUT)/libsupport.a
BIN := $(OUT)/bin/spillway
CTL := $(OUT)/bin/spillctl
SHIM := $(OUT)/lib/libspillway.so
AGENT := $(OUT)/lib/libspillway-agent.so

.DEFAULT_GOAL := all
all: $(BIN) $(CTL) $(SHIM) $(AGENT) ## build build/release/bin/spillway and spillctl, build/release/lib/libspillway.so and libspillway-agent.so

$(CONFIG): $(call room,config)
$(POLICY): $(call room,supervisor/policy)
# supervisor/'s folders are layers, from the lowest to the highest; policy is an archive of its own.
LAYERS := base process link cgroup control tick fleet
$(SUPERVISOR): $(call room,supervisor) $(foreach l,$(LAYERS),$(call room,supervisor/$(l)))
$(HEAP): $(call room,shim/heap/*)
# Where TSan has its own runtime, nobody is to find the one of lines.c.
$(SUPPORT): $(filter-out %/lines.o,$(call room,tests/support))
$(OUT)/%.a:
	@mkdir -p $(@D)
	$(call say,AR  ,$@)$(AR) rcsD $@.tmp $^ && mv $@.tmp $@

$(OUT)/%.o: %.c | deps-build
	@mkdir -p $(@D)
	$(call say,CC  ,$<)$(CC) $(FLAGS) $(if $(filter shim/%,$<),$(FLAGS_shim)) $(if $(filter supervisor/policy/% config/%,$<),$(FLAGS_shared)) $(if $(filter shim/heap/% supervisor/% config/%,$<),$(FLAGS_fuzz)) \
		$(CPPFLAGS) $(CFLAGS) $(call hard,$<) $(call small,$<) -c -o $@ $<

$(OUT)/supervisor/fleet/fleet_dashboard.o: supervisor/fleet/dashboard.html

$(BIN): supervisor/order.ld
PARTS_spillway := $(OUT)/supervisor/main.o $(SUPERVISOR) $(POLICY) $(CONFIG)
$(BIN): $(PARTS_spillway)
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(CC) $(FLAGS) $(CFLAGS) $(LINK_libc) $(LINK_HARD) $(LINK_SMALL) $(LDFLAGS) $(LINK_order) -o $@ $(WARM) $(call archive,event_core) $(filter %.a,$^) $(LIBS_program)

# The sanitized programs beside the release library, for the scripts of tests/system.
$(OUT)/system: $(BIN) $(CTL)
	@mkdir -p $@/bin && ln -f $^ $@/bin && ln -sfn ../../release/lib $@/lib && ln -sfn ../../release/tests $@/tests && touch $@

PARTS_spillctl := $(call room,supervisor/client) $(OUT)/supervisor/base/size.o $(CONFIG)
$(CTL): $(PARTS_spillctl)
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(CC) $(FLAGS) $(CFLAGS) -pie $(LINK_HARD) $(LINK_SMALL) $(LDFLAGS) -o $@ $^ $(LIBS_client)

# The library is linked against no libc, and is the same for all of them: shim/libc.h.  A sanitizer's
# runtime needs the libc that it was built for.  memmove stands in for memcpy, whose oldest version in glibc
# is the one for processors without AVX.
HARD_SHARED := $(LINK_HARD) $(if $(X86),-Wl$(comma)-z$(comma)shstk)
SHIM_LINK := -shared -Wl,-z,defs $(HARD_SHARED) -Wl,-z,initfirst -Wl,--version-script=shim/exports.map
AGENT_LINK := -shared -Wl,-z,defs $(HARD_SHARED) -Wl,--version-script=shim/agent/exports.map
SHIM_LIBS := $(if $(SAN),,-nodefaultlibs -Wl,--hash-style=both -lgcc)
OBJCOPY = $(or $(patsubst %gcc,%objcopy,$(filter %-gcc,$(CC))),objcopy)
$(OUT)/libspillway.o: $(call room,shim) $(HEAP) $(POLICY) $(CONFIG) shim/imports
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(CC) -r -nostdlib -o $@.tmp $(filter %.o %.a,$^) && $(OBJCOPY) --redefine-sym memcpy=memmove --weaken-symbols=shim/imports $@.tmp $@ && rm $@.tmp
$(SHIM): $(if $(SAN),$(call room,shim) $(HEAP) $(POLICY) $(CONFIG),$(OUT)/libspillway.o) shim/exports.map
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(CC) $(FLAGS) $(FLAGS_shim) $(CFLAGS) $(SHIM_LINK) \
		-Wl,-soname,libspillway.so $(LINK_SMALL) $(LDFLAGS) -o $@ $(filter %.o %.a,$^) $(SHIM_LIBS)

# The same without the heap, and without what defines malloc or is about our own: shim/agent/ has what
# the rest calls of the heap.
OWN := $(patsubst %,$(OUT)/shim/%.o,preload operators report trim spillway trace interpose start)
PARTS_agent := $(filter-out $(OWN),$(call room,shim)) $(call room,shim/agent) $(POLICY) $(CONFIG)
$(OUT)/libspillway-agent.o: $(PARTS_agent) shim/imports
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(CC) -r -nostdlib -o $@.tmp $(filter %.o %.a,$^) && $(OBJCOPY) --redefine-sym memcpy=memmove --weaken-symbols=shim/imports $@.tmp $@ && rm $@.tmp
$(AGENT): $(if $(SAN),$(PARTS_agent),$(OUT)/libspillway-agent.o) shim/agent/exports.map
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(CC) $(FLAGS) $(FLAGS_shim) $(CFLAGS) $(AGENT_LINK) \
		-Wl,-soname,libspillway-agent.so $(LINK_SMALL) $(LDFLAGS) -o $@ $(filter %.o %.a,$^) $(SHIM_LIBS)

# Unit tests: tests/<room>/test_x.c links that room's archive, what the archive needs, and support.
NEEDS_config := $(CONFIG)
NEEDS_policy := $(POLICY)
NEEDS_heap := $(HEAP) $(SUPPORT) $(HEAP)
# What of the preload library can be tested without being preloaded.
NEEDS_shim := $(patsubst %,$(OUT)/shim/%.o,amount cgroup cgroup_place environment family libc limit symbol) $(POLICY) $(SUPPORT)
$(OUT)/tests/shim/test_link: $(OUT)/shim/link.o
$(OUT)/tests/shim/test_processors: $(OUT)/shim/agent/processors.o
NEEDS_supervisor := $(SUPERVISOR) $(POLICY) $(CONFIG) $(SUPPORT) $(SUPERVISOR) $(POLICY) $(CONFIG)
LINK_config := $(LIBS_config)
LINK_supervisor := $(LIBS_supervisor) $(LIBS_config)
# The fuzzers' targets: those of the heap, and those of what comes from outside.
STREAM := $(patsubst %,$(OUT)/tests/fuzz/heap_%.o,stream actors bytes) $(SUPPORT) $(HEAP)
INPUTS := $(patsubst %,$(OUT)/tests/fuzz/%_bytes.o,config expand cgroup link control) $(NEEDS_supervisor)
LINK_stream := -Wl,-T,tests/support/heap_state.ld
LINK_inputs = $(LINK_supervisor) $(addprefix -Wl$(comma)--wrap=,$(WRAP_fleet))
LINK_fuzz_heap_stream := $(LINK_stream)
LINK_fuzz_seeds = $(LINK_inputs)
# What a test's own definitions stand in for, by --wrap: tests/support/fake_*.h and refused.h say how.
WRAP_children := spawn_start spawn_go spawn_result spawn_close kill waitid waitpid descendants_signal \
	descendants_signal_marks descendants_terminate
WRAP_loop := loop_now_ms loop_run loop_stop loop_timer_new loop_timer_set loop_watch_new loop_watch_free
WRAP_cgroup := $(WRAP_children) mkdir rmdir write open clock_gettime poll
WRAP_supervisor_cgroup := $(WRAP_cgroup)
WRAP_tick := $(WRAP_children) $(addprefix tick_service_,prepare pressure share share_bytes leaves ended) \
	$(addprefix cgroup_leaf_,attach fd kill signal empty) shim_check link_has_process
WRAP_machine := $(WRAP_cgroup) $(addprefix psi_,open_trigger open_events trigger_alive events_rearm)
WRAP_fleet := $(WRAP_machine) $(WRAP_loop) signals_read random_seed
WRAP_supervisor_fleet := $(WRAP_fleet)
WRAP_supervisor_fleet_order := $(WRAP_fleet)
WRAP_supervisor_fleet_reaping := $(WRAP_fleet)
WRAP_supervisor_control := $(WRAP_loop)
WRAP_supervisor_reload := $(WRAP_fleet)
WRAP_refused := malloc calloc realloc strdup asprintf getline fdopen opendir openat socket memfd_create eventfd epoll_create1
WRAP_supervisor_refused_memory := $(WRAP_fleet) $(WRAP_refused)
WRAP_supervisor_refused_descriptors := $(WRAP_fleet) $(WRAP_refused)
WRAP_supervisor_loop_refused := $(WRAP_refused)
WRAP_supervisor_tick := $(WRAP_machine)
WRAP_supervisor_tick_oom := $(WRAP_machine)
WRAP_supervisor_tick_reload := $(WRAP_machine)
WRAP_supervisor_service := $(WRAP_tick)
WRAP_supervisor_hook := $(WRAP_tick)
WRAP_supervisor_service_health := $(WRAP_tick)
WRAP_supervisor_service_launch := $(WRAP_tick)
WRAP_supervisor_service_ready := $(WRAP_tick) $(WRAP_loop)
WRAP_supervisor_service_stage := $(WRAP_tick)
WRAP_supervisor_service_runtime := $(WRAP_tick) $(addprefix jvm_worker_,start take close)
WRAP_supervisor_descendants := opendir readdir kill
ROOMS := config policy heap shim supervisor fuzz
UNIT := $(filter-out $(if $(SAN),%/test_lines),$(patsubst %.c,$(OUT)/%,$(foreach r,$(ROOMS),$(wildcard tests/$(r)/test_*.c))))
define unit_rule
$(OUT)/tests/$(1)/test_%: $(OUT)/tests/$(1)/test_%.o $(NEEDS_$(1)) $(SUPPORT)
	$$(call say,LINK,$$@)$$(CC) $$(FLAGS) $$(CFLAGS) $$(LDFLAGS) -o $$@ $$(filter %.o %.a,$$+) \
		$$(addprefix -Wl$$(comma)--wrap=,$$(WRAP_$(1)_$$*)) $$(LINK_$(1)) $$(LINK_$(1)_$$*) $$(LIBS_tests)
endef
$(foreach r,$(ROOMS),$(eval $(call unit_rule,$(r))))
# Of the client only what neither asks nor draws.
$(OUT)/tests/supervisor/test_client_top: $(OUT)/supervisor/client/top_model.o
$(OUT)/tests/supervisor/test_share_file: $(OUT)/supervisor/client/share_file.o
$(OUT)/tests/supervisor/test_why: $(patsubst %,$(OUT)/supervisor/%.o,client/why_rules client/why_kernel base/size)
unit: $(UNIT) ## build the unit tests of this variant
$(OUT)/tests/fuzz/test_heap_stream: $(STREAM)
$(OUT)/tests/fuzz/test_seeds: $(INPUTS)
$(OUT)/tests/fuzz/fuzz_heap: $(OUT)/tests/fuzz/fuzz_heap.o $(STREAM)
	$(call say,LINK,$@)$(CC) $(FLAGS) -fsanitize=fuzzer $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o %.a,$+) $(LINK_stream)
$(OUT)/tests/fuzz/fuzz_%: $(OUT)/tests/fuzz/fuzz_%.o $(INPUTS)
	$(call say,LINK,$@)$(CC) $(FLAGS) -fsanitize=fuzzer $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o %.a,$+) $(LINK_inputs) $(LIBS_tests)
$(OUT)/tests/heap/soak: $(OUT)/tests/heap/soak.o $(NEEDS_heap) $(SUPPORT)
	$(call say,LINK,$@)$(CC) $(FLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o %.a,$+) $(LINK_stream)

# The heap with every access counted (tests/support/lines.h), in the release variant only.
FLAGS_lined := -Dmemcpy=lines_memcpy -Dmemmove=lines_memmove -Dmemset=lines_memset
LINED := $(patsubst %.c,$(OUT)/lines/%.o,$(wildcard shim/heap/*/*.c))
$(OUT)/lines/%.o: %.c | deps-build
	@mkdir -p $(@D)
	$(call say,CC  ,$< (counted))$(CC) $(FLAGS) -fsanitize=thread $(FLAGS_lined) $(FLAGS_shim) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<
$(OUT)/tests/support/lines.o $(OUT)/tests/bench/alloc/workload_counted.o: FLAGS += -fPIC -ftls-model=initial-exec
$(OUT)/tests/heap/test_lines: $(OUT)/tests/heap/test_lines.o $(OUT)/tests/support/lines.o $(LINED) $(SUPPORT)
	$(call say,LINK,$@)$(CC) $(FLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o %.a,$^) $(LIBS_tests)

# Tiny programs that run under the preload library, and the system tests' own helpers.
# In tests/bench/ a source file with a header beside it is a part, not a program.
BENCH_PARTS := $(foreach h,$(wildcard tests/bench/*/*.h),$(wildcard $(h:.h=.c) $(h:.h=_*.c)))
PROGRAMS := $(patsubst %.c,$(OUT)/%,$(filter-out $(BENCH_PARTS),$(wildcard tests/preload/*.c tests/system/*.c tests/bench/*/*.c)))
programs: $(PROGRAMS)
DEMO := $(OUT)/tests/bench/demo
$(DEMO)/driver: $(patsubst %,$(DEMO)/%.o,cgroup_files client record schedule spillway_log)
$(DEMO)/report: $(patsubst %,$(DEMO)/%.o,plot_svg plot_text record)
BENCH := $(OUT)/tests/bench
$(BENCH)/alloc/workloads: $(patsubst %.c,$(OUT)/%.o,$(filter-out %_counted.c,$(wildcard tests/bench/alloc/workload.c tests/bench/alloc/workload_*.c)))
# The preload library with its heap counted.
COUNTED := $(BENCH)/alloc/libcounted.so
$(OUT)/lines/shim/preload.o: FLAGS_lined += -finstrument-functions
$(COUNTED): $(filter-out %/preload.o,$(call room,shim)) $(OUT)/lines/shim/preload.o $(LINED) $(OUT)/tests/support/lines.o \
		$(BENCH)/alloc/workload_counted.o $(POLICY) $(CONFIG)
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(CC) $(FLAGS) $(FLAGS_shim) $(CFLAGS) $(SHIM_LINK) $(LDFLAGS) -o $@ $(filter %.o %.a,$^)
IDLE := $(addprefix $(BENCH)/idle/,idle pause bare)
$(IDLE): $(BENCH)/alloc/workload.o $(BENCH)/idle/block.o $(BENCH)/idle/release.o
# The heap in virtual time: its blocks are address space only, and left alone.
SIMULATE := $(BENCH)/simulate/simulate
$(SIMULATE): $(patsubst %,$(BENCH)/simulate/%.o,simulate recorded replay synthetic sim_os) $(HEAP)
	$(call say,LINK,$@)$(CC) $(FLAGS) $(CFLAGS) $(LDFLAGS) -Wl,--wrap=memcpy,--wrap=memset -o $@ $(filter %.o %.a,$^) -lm
FOOTPRINT := $(BENCH)/footprint/service
BUSY := $(BENCH)/busy/busy
$(BUSY): $(BENCH)/alloc/workload.o $(BENCH)/idle/block.o $(BENCH)/idle/release.o
$(BENCH)/sizes/sizes: $(OUT)/shim/heap/base/size_class.o
SURVIVAL := $(BENCH)/survival/burst $(BENCH)/survival/requests
ABUSE := $(BENCH)/abuse/worker
$(SURVIVAL) $(ABUSE): $(BENCH)/survival/load.o
ELASTIC := $(BENCH)/elastic/elastic
$(ELASTIC): $(patsubst %,$(BENCH)/%.o,elastic/burst elastic/crossing elastic/worker alloc/workload idle/block)
$(OUT)/tests/preload/%: $(OUT)/tests/preload/%.o
	$(call say,LINK,$@)$(CC) $(FLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $< -ldl -lm
$(OUT)/tests/system/%: $(OUT)/tests/system/%.o
	$(call say,LINK,$@)$(CC) $(FLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $< -lm
$(OUT)/tests/bench/%: $(OUT)/tests/bench/%.o
	$(call say,LINK,$@)$(CC) $(FLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) -lm

SETS = build $(or $(SUITES),house unit preload system vm)
deps: ## install the Debian packages that building and testing need (SUITES=)
	@tests/support/deps $(SETS)
deps-build:
	@tests/support/deps build
# Objects that only a chain of rules names are kept, or the next make would compile them again.
.SECONDARY:
.PHONY: needs-demo needs-alloc needs-idle needs-elastic needs-busy needs-survival needs-abuse needs-footprint needs-simulate
.PHONY: all unit programs deps deps-build check check-loaded fuzz matrix cross soak soak-one soak-system demo bench-alloc bench-idle bench-elastic bench-busy bench-reaction bench-survival bench-services bench-abuse bench-footprint simulate install uninstall clean help format tidy

check check-loaded: export ROOM := $(ROOM)
check check-loaded: export TEST := $(TEST)
check: ## build every variant, run all tests, count them in the last line (SUITES=, ROOM=, TEST=: some)
	@tests/support/deps $(SETS)
	@tests/run $(SUITES)

ROUNDS ?= 10
check-loaded: ## pass the tests ROUNDS=10 times beside four busy loops a processor (SUITES=, ROOM=, TEST=: some)
	@tests/support/deps $(SETS)
	@tests/support/loaded $(ROUNDS) $(SUITES)

SECONDS ?= 60
WHAT ?= heap
FUZZ_heap := -max_len=600 -len_control=20 -detect_leaks=0
fuzz: ## have libFuzzer look for input that breaks WHAT=heap, config, expand, cgroup, link or control, for SECONDS=60
	@tests/support/deps build fuzz
	@[ -e tests/fuzz/fuzz_$(WHAT).c ] || { \
		echo "fuzz: WHAT=$(WHAT): expected heap, config, expand, cgroup, link or control" >&2; exit 2; }
	@$(MAKE) --no-print-directory FUZZ=1 build/fuzz/tests/fuzz/fuzz_$(WHAT)
	@mkdir -p build/corpus/$(WHAT)
	@. tests/support/progress.sh && progress_run "fuzz: looking for input that breaks $(WHAT)" $(SECONDS) 0 \
		build/fuzz/tests/fuzz/fuzz_$(WHAT) -max_total_time=$(SECONDS) $(FUZZ_$(WHAT)) -timeout=20 \
		-verbosity=0 -print_final_stats=1 -artifact_prefix=build/corpus/$(WHAT)- \
		build/corpus/$(WHAT) $(wildcard tests/fuzz/seeds/$(WHAT))

matrix: all programs ## start programs of older and newer Debian and of musl under the library: minutes (build/trees is kept)
	@tests/support/deps build preload
	@MATRIX=1 tests/preload/elsewhere.sh

cross: ## build the library for aarch64 and run the heap's unit tests under qemu: build/aarch64 (TEST=)
	@tests/support/deps build cross emulated
	@tests/support/cross $(TEST)

MINUTES ?= 5
soak: ## random operations and threads against a model, MINUTES=5 in each variant; SEED= begins with that
	@tests/support/deps build
	@set -e; left=3; for san in '' address,undefined thread; do left=$$((left - 1)); \
		$(MAKE) --no-print-directory SAN=$$san SOAKS_LEFT=$$left soak-one; done
SOAKS_LEFT ?= 0
soak-one: $(OUT)/tests/heap/soak
	@. tests/support/progress.sh && TSAN_OPTIONS=halt_on_error=1 progress_run \
		"soak: $(VARIANT), $$((3 - $(SOAKS_LEFT))) of 3" $$(($(MINUTES) * 60)) $$(($(SOAKS_LEFT) * $(MINUTES) * 60)) \
		setarch -R $< $$(($(MINUTES) * 60)) $(SEED)

soak-system: ## random pressure, kills, reloads and limits around services, MINUTES=20 (SEED=; VM=1: in the VM)
	@tests/support/deps build system $(if $(VM),machine)
	@$(MAKE) --no-print-directory all programs
	@tests/soak/run $$(($(if $(filter file,$(origin MINUTES)),20,$(MINUTES)) * 60)) $(SEED)

needs-demo: all $(addprefix $(DEMO)/,worker driver report)
needs-alloc: all $(BENCH)/alloc/workloads $(COUNTED)
needs-idle: all $(IDLE)
needs-elastic: all $(ELASTIC)
needs-busy: all $(BUSY)
needs-survival: all $(SURVIVAL)
needs-abuse: all $(ABUSE) $(OUT)/tests/system/hostile
needs-footprint: all $(FOOTPRINT)
needs-simulate: $(SHIM) $(SIMULATE)
needs-demo needs-alloc needs-idle needs-elastic needs-busy needs-survival needs-abuse needs-footprint needs-simulate:
	@:

demo: ## show services that are OOM-killed without spillway and are not with it (VM=1: in the VM)
	@tests/support/deps build
	@$(MAKE) --no-print-directory needs-demo
	@tests/bench/demo/run

bench-alloc: ## time allocators side by side: table and chart in build/bench (ROUNDS=, WORKLOADS=, COUNTS=1)
	@tests/support/deps build bench
	@$(MAKE) --no-print-directory needs-alloc
	@tests/bench/alloc/run

bench-idle: ## what idle heaps keep and what releases cost, by allocator: build/bench (ROUNDS=, PARTS=, TIMES=)
	@tests/support/deps build bench
	@$(MAKE) --no-print-directory needs-idle
	@tests/bench/idle/run

bench-elastic: ## a server with bursts: its memory, latency, CPU by allocator: build/bench (ROUNDS=, SECONDS=)
	@tests/support/deps build bench
	@$(MAKE) --no-print-directory needs-elastic
	@tests/bench/elastic/run

bench-reaction: programs all ## how soon idle memory goes when a sibling grows past a threshold (ROUNDS=)
	@tests/bench/reaction/run

bench-busy: ## what releases and forks take beside busy threads, by allocator: build/bench (ROUNDS=, THREADS=)
	@tests/support/deps build bench
	@$(MAKE) --no-print-directory needs-busy
	@tests/bench/busy/run

bench-survival: ## the lowest limit at which bursting workers survive, by allocator: build/bench (SCENARIOS=, STEPS=, AT=)
	@tests/support/deps build bench
	@$(MAKE) --no-print-directory needs-survival
	@tests/bench/survival/run

bench-services: ## how little memory services need as they are installed, by allocator: build/bench (SERVICES=, STEPS=, IDLE=)
	@tests/support/deps build bench bench-services
	@$(MAKE) --no-print-directory all
	@tests/bench/services/run

bench-abuse: ## what a service that abuses its link costs its sibling: build/bench (ACTS=, ROUNDS=, SECONDS=)
	@tests/support/deps build
	@$(MAKE) --no-print-directory needs-abuse
	@tests/bench/abuse/run

bench-footprint: ## start time, memory, threads and wake-ups of the supervisor beside others: build/bench (PEERS=, COUNTS=)
	@tests/support/deps build bench
	@$(MAKE) --no-print-directory needs-footprint
	@tests/bench/footprint/run

simulate: ## what each policy of giving back costs on made-up and recorded lives: build/bench (TRACES=, POLICIES=)
	@tests/support/deps build bench
	@$(MAKE) --no-print-directory needs-simulate
	@tests/bench/simulate/run

format: ## rewrite the sources as .clang-format has them
	clang-format -i $$(git ls-files '*.c' '*.h')

tidy: ## run clang-tidy over every source, its analyzer along more paths than make check
	@tests/support/deps build house
	@tests/support/tidy

# What is installed comes from FROM, and is told in the systemd unit to be in BINDIR.
FROM ?= $(OUT)
BINDIR ?= $(PREFIX)/bin
LIBDIR ?= $(PREFIX)/lib
SHARE = $(DESTDIR)$(PREFIX)/share
UNITS = $(DESTDIR)$(PREFIX)/lib/systemd/system
LIBRARIES := lib/libspillway.so lib/libspillway-agent.so
install: $(addprefix $(FROM)/,bin/spillway bin/spillctl $(LIBRARIES)) ## install under $(DESTDIR)$(PREFIX)
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/bin $(FROM)/bin/spillway $(FROM)/bin/spillctl
	install -D -m 755 -t $(DESTDIR)$(LIBDIR) $(addprefix $(FROM)/,$(LIBRARIES))
	install -D -m 644 shim/spillway.h $(DESTDIR)$(PREFIX)/include/spillway.h
	install -d $(UNITS) && sed 's,@BINDIR@,$(BINDIR),' packaging/systemd/spillway@.service >$(UNITS)/spillway@.service
	install -D -m 644 -t $(SHARE)/doc/spillway/examples packaging/spillway.ini
	install -D -m 644 -t $(SHARE)/man/man1 packaging/man/spillway.1 packaging/man/spillctl.1
	install -D -m 644 -t $(SHARE)/man/man3 packaging/man/spillway.h.3
	install -d $(SHARE)/man/man5 && packaging/man/ini README.md >$(SHARE)/man/man5/spillway.ini.5
	install -D -m 644 -t $(SHARE)/man/man7 packaging/man/libspillway.7
	install -D -m 644 packaging/completions/spillctl.bash $(SHARE)/bash-completion/completions/spillctl
	install -D -m 644 -t $(SHARE)/zsh/site-functions packaging/completions/_spillctl
	install -D -m 644 -t $(SHARE)/fish/vendor_completions.d packaging/completions/spillctl.fish

uninstall: ## remove what install put there
	rm -f $(DESTDIR)$(PREFIX)/bin/spillway $(DESTDIR)$(PREFIX)/bin/spillctl $(addprefix $(DESTDIR)$(LIBDIR)/,$(notdir $(LIBRARIES))) $(DESTDIR)$(PREFIX)/include/spillway.h
	rm -f $(UNITS)/spillway@.service $(SHARE)/man/man1/spillway.1 $(SHARE)/man/man1/spillctl.1
	rm -f $(SHARE)/man/man3/spillway.h.3 $(SHARE)/man/man5/spillway.ini.5 $(SHARE)/man/man7/libspillway.7
	rm -f $(SHARE)/bash-completion/completions/spillctl $(SHARE)/zsh/site-functions/_spillctl $(SHARE)/fish/vendor_completions.d/spillctl.fish
	rm -rf $(SHARE)/doc/spillway

include packaging/packages.mk

clean: ## remove everything built, the cached kernels, Debians and the fuzzer's corpus excepted
	rm -rf build/release build/asan build/tsan build/fuzz build/aarch64 build/results build/tidy build/dist build/deb build/images

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo '  V=1 shows every command.  For check and deps: SUITES="house unit preload system vm", some of them;'
	@echo '  for check: ROOM=heap, tests of that folder only; TEST=test_cache, tests of that name only; SEED=1, another seed.'

-include $(shell find $(OUT) -name '*.d' 2>/dev/null)
