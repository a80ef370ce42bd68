# SPDX-License-Identifier: GPL-2.0
#
# Use:
# make                     builds ipmmu_vmsa.ko against KDIR
# make modules_install     installs it for the kernel of KDIR
# make install-hook        installs a hook that adds it to Debian's initramfs
# make deb                 packages it for Debian 13's kernel, in build/deb
# make install-tree        adds the driver to the kernel source in KSRC
# make uninstall-tree      removes it from the kernel source in KSRC
# make patches             writes it as a series for `git am`, in build/patches
#
# Try and test, on the emulated board:
# make demo                shows DMA continuing across a suspend
# make shell               opens the board's console
# make check               runs the tests; `make check ONLY=sleep` runs some
# make check-sanitised     runs the tests on a kernel with sanitisers; `make check KERNEL=rt`
#                          and KERNEL=64k use other kernels
# make check-full          also runs tests that build kernels, and all tests on unkind IPMMUs:
#                          see Documentation/unknowns.rst
# make xen                 runs Xen's driver on the board; XEN_SRC= names a Xen source tree
# make soak CYCLES=10000   sleeps that often, with file and DMA traffic
# make compare             compares the hardware accesses of both drivers
# make bench               measures the costs of both drivers
# make bench-profile       shows the functions that cause the costs
# make trees TREES=100     boots device trees with mistakes; SEED= is the first seed
# make mutants             breaks the driver in many ways, and lists what no test detects
# make races SEEDS=200     stops CPUs in the driver by a seed, under masters that never stop
#
# Others:
# make board-tests         packs the tests for a real board
# make dt-check            validates device trees against the kernel's bindings
# make doc                 builds the documentation, into build/doc
# make lint                checks formatting, warnings, style
# make provision           builds what `make check` boots first, and runs nothing
# make clean               removes build results (not the cache)
#
# KDIR=           a Rust-enabled kernel build directory
# KERNEL_SRC= O=  its source and build directory, in Yocto recipes
# KSRC=           a kernel source tree
# ARCH=           arm64 by default, or arm
# CROSS_COMPILE=  as for the kernel itself, if gcc built it
# RUSTC=          the rustc that built the kernel, if PATH has another one
# QEMU=           a qemu-system-aarch64 with the machine rcar-h3
# MINUTES=        skips tests that would start later than that

# Only the user's own KDIR is passed on, not the one from the file below.
USER_KDIR := $(or $(KDIR),$(KERNEL_SRC))

ARCH ?= arm64

# The testbed records here which kernels it built, and with which compilers.
ifeq ($(USER_KDIR),)
-include build/kernel$(if $(filter-out arm64,$(ARCH)),-$(ARCH)).mk
endif

KDIR ?= $(or $(KERNEL_SRC),/lib/modules/$(shell uname -r)/build)

# KDIR is the source if O= names its build directory. Make passes O= on.
BUILT = $(if $(findstring command,$(origin O)),$(O),$(KDIR))

# The compiler that built the kernel: LLVM's, or gcc with the user's prefix.
BUILT_BY_CLANG = $(shell grep -s '^CONFIG_CC_IS_CLANG=y$$' "$(BUILT)/.config")
COMPILER = $(if $(BUILT_BY_CLANG),LLVM=$(or $(LLVM),1),$(if $(CROSS_COMPILE),CROSS_COMPILE=$(CROSS_COMPILE)))
KBUILD_VARIABLES ?= ARCH=$(ARCH) $(COMPILER)

TESTBED = testbed/bootstrap.sh $(if $(USER_KDIR),--kdir=$(USER_KDIR)) $(if $(QEMU),--qemu=$(QEMU))

ROWS = $(if $(MINUTES),--minutes=$(MINUTES)) $(ONLY)

.PHONY: modules modules_install demo doc check soak trees mutants races shell lint provision clean xen
.PHONY: deb board-tests check-full check-sanitised check-kernel compare bench bench-profile dt-check install-hook install-tree uninstall-tree patches

modules: check-kernel

# Installing compiles nothing, and may run as another user, with another PATH.
modules modules_install:
	$(MAKE) -C $(KDIR) $(KBUILD_VARIABLES) $(if $(RUSTC),RUSTC=$(RUSTC)) M=$(CURDIR) $@

# With the compiler that the build would use.
RUSTC_OF_BUILD = $(or $(RUSTC),$(patsubst RUSTC=%,%,$(filter RUSTC=%,$(KBUILD_VARIABLES))),rustc)

check-kernel:
	@packaging/check-kernel "$(BUILT)" "$(ARCH)" "$(RUSTC_OF_BUILD)"

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

demo deb doc compare bench bench-profile shell lint provision:
	@$(TESTBED) $@

board-tests dt-check:
	@$(TESTBED) $@

check check-full:
	@IPMMU_KERNEL=$(KERNEL) $(TESTBED) $@ $(ROWS)

check-sanitised:
	@IPMMU_KERNEL=sanitised $(TESTBED) check $(ROWS)

soak:
	@$(TESTBED) soak $(CYCLES)

races:
	@$(TESTBED) races $(if $(SEEDS),--seeds $(SEEDS)) $(if $(FIRST),--first $(FIRST)) \
		$(if $(PLANT),--plant $(PLANT))

xen:
	@$(TESTBED) xen $(if $(XEN_SRC),"$(XEN_SRC)")

trees:
	@$(TESTBED) trees $(or $(TREES),100) $(SEED)

mutants:
	@$(TESTBED) mutants $(ONLY) $(if $(QUICK),--quick)

clean:
	-$(if $(wildcard $(KDIR)/Makefile),$(MAKE) -C $(KDIR) $(KBUILD_VARIABLES) M=$(CURDIR) clean)
	rm -rf build
