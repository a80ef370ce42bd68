// SPDX-License-Identifier: GPL-2.0
//! All edits of the kernel's own files.

use std::collections::BTreeMap;

use anyhow::Result;

use super::edit::Place::{After, Before};
use super::edit::{Block, Edit, Entry, Place};

/// The entries in MAINTAINERS for the abstractions, and for the driver.
const ABSTRACTIONS: Entry = Entry {
    heading: "IOMMU DRIVER ABSTRACTIONS [RUST]\n",
    lists: &["iommu@lists.linux.dev", "rust-for-linux@vger.kernel.org"],
    tops: &["rust/"],
};
const DRIVER: Entry = Entry {
    heading: "IPMMU VMSA DRIVER IN RUST\n",
    lists: &[
        "iommu@lists.linux.dev",
        "linux-renesas-soc@vger.kernel.org",
        "rust-for-linux@vger.kernel.org",
    ],
    tops: &["drivers/", "Documentation/"],
};

const BINDINGS: &str = "rust/bindings/bindings_helper.h";

/// Helpers for functions that are inline in C.
const DMA_HELPERS: &str = "\
__rust_helper bool rust_helper_dev_is_dma_coherent(struct device *dev)
{
	return dev_is_dma_coherent(dev);
}

__rust_helper void rust_helper_dma_sync_single_for_device(struct device *dev,
							  dma_addr_t addr, size_t size,
							  enum dma_data_direction dir)
{
	dma_sync_single_for_device(dev, addr, size, dir);
}

";

/// Includes of headers that have no bindings yet.
const IOMMU_HEADERS: &str = "\
/* Drivers of IOMMUs forward calls of the IOMMU core to the DMA API. */
#include <../../drivers/iommu/dma-iommu.h>
#ifdef CONFIG_ARM_DMA_USE_IOMMU
#include <asm/dma-iommu.h>
#endif

";

/// Constants that are macros in C.
const LINK_FLAGS: &str = "\
const u32 RUST_CONST_HELPER_DL_FLAG_AUTOREMOVE_CONSUMER = DL_FLAG_AUTOREMOVE_CONSUMER;
const u32 RUST_CONST_HELPER_DL_FLAG_PM_RUNTIME = DL_FLAG_PM_RUNTIME;
const u32 RUST_CONST_HELPER_DL_FLAG_RPM_ACTIVE = DL_FLAG_RPM_ACTIVE;
const u32 RUST_CONST_HELPER_DL_FLAG_AUTOREMOVE_SUPPLIER = DL_FLAG_AUTOREMOVE_SUPPLIER;

";
const QUIRKS: &str =
    "const size_t RUST_CONST_HELPER_IO_PGTABLE_QUIRK_ARM_NS = IO_PGTABLE_QUIRK_ARM_NS;\n\n";
/// The place of constants.
const CONSTANTS: Place = Before("const xa_mark_t RUST_CONST_HELPER_XA_PRESENT = XA_PRESENT;\n");

const IO_PGTABLE: &str = "#[cfg(CONFIG_IOMMU_IO_PGTABLE)]\npub mod io_pgtable;\n";

/// All edits, in the order of the series. Some are placed beside lines of earlier ones.
pub const EDITS: [Edit; 24] = [
    entry(ABSTRACTIONS, Before("IOMMU SUBSYSTEM\n")),
    entry(DRIVER, Before("IPS SCSI RAID DRIVER\n")),
    lines(
        "rust/kernel/irq.rs",
        &["rust/kernel/irq/managed.rs"],
        Before("/// IRQ allocation and handling.\n"),
        "pub mod managed;\n\n",
    ),
    lines(
        "rust/kernel/device.rs",
        &["rust/kernel/device/link.rs"],
        Before("pub mod property;\n"),
        "pub mod link;\n",
    ),
    lines(
        BINDINGS,
        &["rust/kernel/device/link.rs"],
        CONSTANTS,
        LINK_FLAGS,
    ),
    lines(
        "rust/kernel/device.rs",
        &[
            "rust/kernel/device/driver.rs",
            "rust/kernel/device/fwnode.rs",
        ],
        Before("pub mod link;\n"),
        "pub mod driver;\npub mod fwnode;\n",
    ),
    lines(
        "rust/kernel/lib.rs",
        &["rust/kernel/soc_match.rs"],
        After("pub mod soc;\n"),
        "pub mod soc_match;\n",
    ),
    lines(
        "rust/kernel/sync.rs",
        &["rust/kernel/sync/module_lock.rs"],
        Before("pub mod poll;\n"),
        "pub mod module_lock;\n",
    ),
    lines(
        "rust/kernel/module_param.rs",
        &["rust/kernel/module_param/string.rs"],
        After("use kernel::sync::SetOnce;\n"),
        "\npub mod string;\n",
    ),
    lines(
        "rust/kernel/iommu/mod.rs",
        &["rust/kernel/iommu/io_pgtable"],
        Before("pub mod pgtable;\n"),
        IO_PGTABLE,
    ),
    lines(
        BINDINGS,
        &["rust/kernel/iommu/io_pgtable"],
        CONSTANTS,
        QUIRKS,
    ),
    lines(
        "rust/helpers/dma.c",
        &["rust/kernel/iommu/io_pgtable"],
        Before("#include <linux/dma-mapping.h>\n"),
        "#include <linux/dma-map-ops.h>\n",
    ),
    lines(
        "rust/helpers/dma.c",
        &["rust/kernel/iommu/io_pgtable"],
        Before("__rust_helper size_t rust_helper_dma_max_mapping_size(struct device *dev)\n"),
        DMA_HELPERS,
    ),
    lines(
        "rust/kernel/platform.rs",
        &["rust/kernel/platform/ext.rs"],
        Before("/// An adapter for the registration of platform drivers.\n"),
        "pub mod ext;\n\n",
    ),
    lines(
        "rust/kernel/lib.rs",
        &["rust/kernel/runtime_pm.rs"],
        Before("pub mod safety;\n"),
        "pub mod runtime_pm;\n",
    ),
    lines(
        "rust/helpers/helpers.c",
        &["rust/helpers/pm_runtime.c"],
        Before("#include \"poll.c\"\n"),
        "#include \"pm_runtime.c\"\n",
    ),
    lines(
        BINDINGS,
        &["rust/kernel/runtime_pm.rs"],
        Before("#include <linux/poll.h>\n"),
        "#include <linux/pm_runtime.h>\n",
    ),
    lines(
        "rust/kernel/iommu/mod.rs",
        &["rust/kernel/iommu/platform.rs"],
        After("pub mod pgtable;\n"),
        "#[cfg(CONFIG_IOMMU_IO_PGTABLE)]\npub mod platform;\n",
    ),
    lines(
        "rust/kernel/iommu/mod.rs",
        &["rust/kernel/iommu/driver"],
        Before(IO_PGTABLE),
        "#[cfg(all(CONFIG_IOMMU_API, CONFIG_IOMMU_IO_PGTABLE))]\npub mod driver;\n",
    ),
    lines(
        BINDINGS,
        &["rust/kernel/iommu/driver"],
        Before("#include <linux/ioport.h>\n"),
        "#include <linux/iommu.h>\n",
    ),
    lines(
        BINDINGS,
        &["rust/kernel/iommu/driver"],
        Before("#if defined(CONFIG_DRM_PANIC_SCREEN_QR_CODE)\n"),
        IOMMU_HEADERS,
    ),
    lines(
        "Documentation/driver-api/index.rst",
        &["Documentation/driver-api/ipmmu-vmsa/index.rst"],
        After("   ipmi\n"),
        "   ipmmu-vmsa/index\n",
    ),
    lines(
        "drivers/iommu/Kconfig",
        &["drivers/iommu/ipmmu-vmsa-rust/Kconfig"],
        Before("config SPAPR_TCE_IOMMU\n"),
        "source \"drivers/iommu/ipmmu-vmsa-rust/Kconfig\"\n\n",
    ),
    lines(
        "drivers/iommu/Makefile",
        &["drivers/iommu/ipmmu-vmsa-rust/Makefile"],
        After("obj-$(CONFIG_IPMMU_VMSA) += ipmmu-vmsa.o\n"),
        "obj-$(CONFIG_IPMMU_VMSA_RUST) += ipmmu-vmsa-rust/\n",
    ),
];

const fn entry(entry: Entry, place: Place) -> Edit {
    Edit {
        file: "MAINTAINERS",
        with: &[],
        place,
        block: Block::Entry(entry),
    }
}

const fn lines(
    file: &'static str,
    with: &'static [&'static str],
    place: Place,
    lines: &'static str,
) -> Edit {
    Edit {
        file,
        with,
        place,
        block: Block::Lines(lines),
    }
}

/// Returns the files and directories of the driver below `rust/`.
pub fn in_crate() -> impl Iterator<Item = &'static str> {
    let all = EDITS.iter().flat_map(|edit| edit.with.iter().copied());
    all.filter(|path| path.starts_with("rust/"))
}

/// Reads all files that have edits, by `read`. Returns their texts without the driver's lines.
pub fn originals(read: impl Fn(&str) -> Result<String>) -> Result<BTreeMap<&'static str, String>> {
    let mut texts = BTreeMap::new();
    for edit in &EDITS {
        let text = match texts.remove(edit.file) {
            Some(text) => text,
            None => read(edit.file)?,
        };
        texts.insert(edit.file, edit.remove(&text));
    }
    Ok(texts)
}
