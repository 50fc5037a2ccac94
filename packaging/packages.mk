# What is made for others to install: static programs, a tarball, Debian packages, an image.
#
#   $(STATIC)/   bin/spillway and bin/spillctl without a library of any kind, lib/libspillway.so and libspillway-agent.so; stripped.
#                They are linked from the objects of this variant, so nothing is compiled twice.
#   build/dist/  what is given away
#
# For another processor CC and OUT change: dist-bin-aarch64 shows how.

STATIC := $(OUT)/static
DIST := build/dist
STRIP = $(or $(patsubst %gcc,%strip,$(filter %-gcc,$(CC))),strip)
# The date of the release, so that the same sources make the same bytes on every day.
RELEASED = $(shell date -u -d "$$(sed -n '/^ -- /{s/^.*>  //p;q}' packaging/debian/changelog)" +%s)
SOURCE_DATE_EPOCH ?= $(RELEASED)
export SOURCE_DATE_EPOCH

# The build id is a sum over the debugging information, which names the folder of the build.
STRIPPED = -s -Wl,--build-id=none
# --no-warnings: as in the Makefile.
LINK_STATIC = $(CC) $(FLAGS) $(CFLAGS) $(LINK_HARD) $(LINK_SMALL) $(STRIPPED) -static-pie -Wl,--no-warnings $(LDFLAGS)

# As the Makefile links it, else without a library.
$(STATIC)/bin/spillway: $(PARTS_spillway) supervisor/order.ld
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(LINK_STATIC) $(LINK_order) -o $@ $(WARM) $(call archive,event_core) $(filter %.a,$^) $(LIBS_program)

$(STATIC)/bin/spillctl: $(PARTS_spillctl)
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(LINK_STATIC) -o $@ $^ $(LIBS_client)

$(STATIC)/lib/%.so: $(OUT)/lib/%.so
	@mkdir -p $(@D)
	$(call say,STRIP,$@)$(STRIP) --strip-unneeded -R .note.gnu.build-id -o $@ $<

.PHONY: static dist-bin
static: $(STATIC)/bin/spillway $(STATIC)/bin/spillctl $(STATIC)/lib/libspillway.so $(STATIC)/lib/libspillway-agent.so ## link spillway and spillctl without libraries: build/release/static
	@ls -l $^ | awk '{ printf "  %5d kB  %s\n", $$5 / 1000, $$NF }'

TARBALL = spillway-$(VERSION)-linux-$(MACHINE)
# Sorted, without names of users, dated by the release.
TAR_SAME = tar --sort=name --mtime=@$(SOURCE_DATE_EPOCH) --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX --format=ustar
dist-bin: static ## a tarball of the static programs, the library and the pages: build/dist
	@rm -rf $(DIST)/$(TARBALL) && mkdir -p $(DIST)
	@$(MAKE) -s --no-print-directory install FROM=$(STATIC) DESTDIR=$(DIST)/$(TARBALL) PREFIX= BINDIR=/usr/local/bin
	@cp README.md LICENSE $(DIST)/$(TARBALL)
	$(call say,TAR ,$(DIST)/$(TARBALL).tar.gz)$(TAR_SAME) -C $(DIST) -c $(TARBALL) | gzip -9n >$(DIST)/$(TARBALL).tar.gz
	@rm -rf $(DIST)/$(TARBALL)
	@cd $(DIST) && sha256sum $(TARBALL).tar.gz >$(TARBALL).tar.gz.sha256

.PHONY: dist-bin-aarch64
dist-bin-aarch64: ## the same for aarch64, by Debian's cross compiler
	@tests/support/deps cross
	@packaging/sysroot aarch64 >/dev/null
	@$(MAKE) --no-print-directory dist-bin OUT=build/aarch64 \
		CC="aarch64-linux-gnu-gcc --sysroot=$$(packaging/sysroot aarch64)"

DEB := build/deb
.PHONY: deb
# The folder debian/ exists in a copy only: the top level here stays as it is.
deb: ## build the Debian packages spillway, libspillway0, spillway-dev, spillway-doc: build/dist
	@tests/support/deps build deb
	@rm -rf $(DEB) && mkdir -p $(DEB)/spillway $(DIST)
	@tests/support/files | tar -c -T - | tar -x -C $(DEB)/spillway && cp -r packaging/debian $(DEB)/spillway
	@cd $(DEB)/spillway && dpkg-buildpackage -b -uc -us -j2 >../log 2>&1 || { tail -n 30 ../log >&2; exit 1; }
	@mv $(DEB)/*.deb $(DEB)/*.changes $(DEB)/*.buildinfo $(DIST) && ls $(DIST)/*.deb

.PHONY: image
image: static ## the container image of spillway and its library, an OCI layout: build/dist/image
	@tests/support/deps build image
	@mkdir -p $(DIST)
	$(call say,OCI ,$(DIST)/image)packaging/image/build $(STATIC) $(VERSION) $(DIST)/image

.PHONY: check-packages
check-packages: all programs deb dist-bin dist-bin-aarch64 image ## pass the tests of packages, tarball and image (TEST=: one)
	@tests/support/deps build packages machine
	@prove --timer $(if $(TEST),tests/packages/$(TEST).sh,tests/packages/*.sh)
