/*
 * R-Car H3: what firmware does until the kernel's entry point
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The kernel finds the device tree as it was given, with nothing changed but
 * /chosen: QEMU's own loader would replace the memory nodes.
 */

#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "exec/address-spaces.h"
#include "hw/arm/rcar_h3.h"
#include "hw/loader.h"
#include "system/device_tree.h"
#include "system/qtest.h"
#include "target/arm/cpu.h"
#include <libfdt.h>

static void write_chosen(RcarH3State *s, void *fdt)
{
    MachineState *machine = MACHINE(s);
    const struct arm_boot_info *info = &s->bootinfo;

    qemu_fdt_add_path(fdt, "/chosen");
    if (machine->kernel_cmdline && *machine->kernel_cmdline) {
        qemu_fdt_setprop_string(fdt, "/chosen", "bootargs",
                                machine->kernel_cmdline);
    }
    if (info->initrd_size) {
        qemu_fdt_setprop_u64(fdt, "/chosen", "linux,initrd-start",
                             info->initrd_start);
        qemu_fdt_setprop_u64(fdt, "/chosen", "linux,initrd-end",
                             info->initrd_start + info->initrd_size);
    }
}

static void load_dtb(RcarH3State *s)
{
    int size;
    void *fdt = load_device_tree(MACHINE(s)->dtb, &size);

    if (!fdt) {
        error_report("cannot load device tree '%s'", MACHINE(s)->dtb);
        exit(1);
    }
    write_chosen(s, fdt);
    fdt_pack(fdt);
    rom_add_blob_fixed_as("dtb", fdt, fdt_totalsize(fdt),
                          s->bootinfo.dtb_start, &address_space_memory);
    MACHINE(s)->fdt = fdt;      /* for dumpdtb; freed with the machine */
}

void rcar_h3_boot(RcarH3State *s)
{
    MachineState *machine = MACHINE(s);

    if (!qtest_enabled() && (!machine->kernel_filename || !machine->dtb)) {
        error_report("this machine has no firmware: "
                     "give it a kernel and its device tree (-kernel, -dtb)");
        exit(1);
    }
    s->bootinfo.psci_conduit = QEMU_PSCI_CONDUIT_SMC;
    s->bootinfo.skip_dtb_autoload = true;
    arm_load_kernel(s->cpus[0], machine, &s->bootinfo);
    if (machine->kernel_filename && machine->dtb) {
        load_dtb(s);
    }
}
