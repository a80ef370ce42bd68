# SPDX-License-Identifier: GPL-2.0
#
# make                     build ipmmu_vmsa.ko against KDIR
# make modules_install     install it for the kernel of KDIR
# make install-tree        add the driver to the kernel source in KSRC
# make uninstall-tree      take it out again
# make patches             write it as patches, into build/patches
# make install-hook        have Debian's initramfs load the module
# make deb                 pack the module for Debian 13's kernel, into build/deb
# make demo                see it work on an emulated board
# make check               all tests; `make check ONLY=sleep` for some
# make check-full          also the tests that build kernels
# make shell               the emulated board's console
# make soak CYCLES=10000   sleep that often, with files and DMA going on
# make compare             what this driver and the C driver do to the hardware
# make bench               what both cost; `make bench-plot` draws it
# make bench-profile       which functions spend it
# make mutants             see whether tests notice a driver that is broken
# make board-tests         the tests as an archive for a real board
# make dt-check            validate device trees against the kernel's bindings
# make doc                 the documentation, into build/doc
# make lint                formatting, warnings, style
# make clean               remove what was built here (not the cache)
#
# KDIR=  a Rust-enabled kernel build directory
# KSRC=  a kernel source tree
# ARCH=  arm64 unless it says arm
# CROSS_COMPILE=  for a kernel that gcc built, as for the kernel itself
# QEMU=  a qemu-system-aarch64 that has the rcar-h3 machine

# What the user gives is handed on; what the note below says is not.
USER_KDIR := $(KDIR)

ARCH ?= arm64

# The testbed leaves word here of the kernels that it built, and with what.
ifeq ($(USER_KDIR),)
-include build/kernel$(if $(filter-out arm64,$(ARCH)),-$(ARCH)).mk
endif

KDIR ?= /lib/modules/$(shell uname -r)/build

# The compiler that the kernel was built with: LLVM's, or gcc by the user's name.
BUILT_BY_CLANG = $(shell grep -s '^CONFIG_CC_IS_CLANG=y$$' "$(KDIR)/.config")
COMPILER = $(if $(BUILT_BY_CLANG),LLVM=$(or $(LLVM),1),$(if $(CROSS_COMPILE),CROSS_COMPILE=$(CROSS_COMPILE)))
KBUILD_VARIABLES ?= ARCH=$(ARCH) $(COMPILER)

TESTBED = testbed/bootstrap.sh $(if $(USER_KDIR),--kdir=$(USER_KDIR)) $(if $(QEMU),--qemu=$(QEMU))

.PHONY: modules modules_install demo doc check soak mutants shell lint provision clean
.PHONY: deb board-tests check-full check-kernel compare bench bench-plot bench-profile dt-check install-hook install-tree uninstall-tree patches

modules: check-kernel

# Installing compiles nothing, and may be somebody else's job, with another PATH.
modules modules_install:
	$(MAKE) -C $(KDIR) $(KBUILD_VARIABLES) $(if $(RUSTC),RUSTC=$(RUSTC)) M=$(CURDIR) $@

# With the compiler that the build would use.
RUSTC_OF_BUILD = $(or $(RUSTC),$(patsubst RUSTC=%,%,$(filter RUSTC=%,$(KBUILD_VARIABLES))),rustc)

check-kernel:
	@packaging/check-kernel "$(KDIR)" "$(ARCH)" "$(RUSTC_OF_BUILD)"

install-tree uninstall-tree:
	$(if $(KSRC),,$(error KSRC= must name a kernel source tree))
	@$(TESTBED) $@ "$(KSRC)"

patches:
	@$(TESTBED) $@ $(if $(KSRC),"$(KSRC)")

install-hook:
	for file in hooks/ipmmu_vmsa scripts/init-top/ipmmu_vmsa; do \
		install -D -m 755 packaging/initramfs-tools/$$file \
			$(DESTDIR)/etc/initramfs-tools/$$file || exit; \
	done

demo deb doc compare bench bench-plot bench-profile shell lint provision:
	@$(TESTBED) $@

board-tests dt-check:
	@$(TESTBED) $@

check check-full:
	@$(TESTBED) $@ $(ONLY)

soak:
	@$(TESTBED) soak $(CYCLES)

mutants:
	@$(TESTBED) mutants $(ONLY)

clean:
	-$(if $(wildcard $(KDIR)/Makefile),$(MAKE) -C $(KDIR) $(KBUILD_VARIABLES) M=$(CURDIR) clean)
	rm -rf build
