// SPDX-License-Identifier: GPL-2.0
//! Features whose evidence is rows of other files.

use super::ledger::{C, Feature, Ledger, Part};

/// A feature, with its rows for this driver and for the C driver. It has none for the C driver if
/// the feature does not apply to that.
type Entry = (Feature, &'static [&'static str], &'static [&'static str]);

const ENTRIES: &[Entry] = &[
    (
        Feature {
            id: "bind_all",
            part: Part::Translation,
            says: "All 17 IPMMUs of the board are bound.",
            c: C::Works,
        },
        &["driver::boot_and_bind"],
        &["c-driver::boot_and_bind"],
    ),
    (
        Feature {
            id: "dma_two_caches",
            part: Part::Translation,
            says: "DMA of masters behind two caches is translated at the same time.",
            c: C::Works,
        },
        &["driver::dma_through_two_ipmmus"],
        &["c-driver::dma_through_two_ipmmus"],
    ),
    (
        Feature {
            id: "malformed_device_tree",
            part: Part::Defects,
            says: "A device tree with one mistake gives one message, and devices without a mistake work.",
            c: C::NotApplicable("the rows are about the messages of this driver"),
        },
        &[
            "dt-no_root_phandle::one_message",
            "dt-dangling_root_phandle::one_message",
            "dt-utlb_out_of_range::one_message",
            "beyond-utlbs::refused_with_one_message",
            "dt-no_reg::one_message",
            "dt-no_interrupt_on_the_root::one_message",
        ],
        &[],
    ),
    (
        Feature {
            id: "module_goes_and_comes",
            part: Part::Translation,
            says: "The module can be removed while no device is behind an IPMMU, and not otherwise.",
            c: C::NotApplicable("built in"),
        },
        &[
            "driver::rmmod_with_a_client_is_refused",
            "driver-alone::rmmod_and_modprobe_again",
        ],
        &[],
    ),
    (
        Feature {
            id: "late_devices_work_without",
            part: Part::Translation,
            says: "Devices beyond the number of contexts work untranslated, and the log says so.",
            c: C::NotApplicable("one group per IPMMU, and fewer with devices than contexts"),
        },
        &["crowded::more_devices_than_contexts"],
        &[],
    ),
    (
        Feature {
            id: "storage",
            part: Part::Clients,
            says: "SD card and eMMC with ext4: written, read back, suspended while writing, fsck clean.",
            c: C::Works,
        },
        &[
            "storage::cards_are_translated",
            "storage::files_are_what_was_written",
            "storage::suspend_while_writing",
            "storage::file_systems_are_clean",
        ],
        &[
            "storage-c-driver::cards_are_translated",
            "storage-c-driver::files_are_what_was_written",
            "storage-c-driver::suspend_while_writing",
            "storage-c-driver::file_systems_are_clean",
        ],
    ),
    (
        Feature {
            id: "storage_lazy",
            part: Part::Clients,
            says: "The same with iommu.strict=0, in groups of type DMA-FQ.",
            c: C::Fails("DMA instead of DMA-FQ"),
        },
        &[
            "storage-lazy::cards_are_translated",
            "storage-lazy::files_are_what_was_written",
            "storage-lazy::suspend_while_writing",
            "storage-lazy::file_systems_are_clean",
        ],
        &["lazy-c-driver::group_is_lazy_from_the_start"],
    ),
    (
        Feature {
            id: "nvme",
            part: Part::Clients,
            says: "NVMe behind iommu-map with ext4: written, read back, suspended while writing, fsck clean.",
            c: C::Works,
        },
        &[
            "pcie::files_are_what_was_written",
            "pcie::suspend_while_writing",
            "pcie::file_system_is_clean",
        ],
        &[
            "pcie-c-driver::files_are_what_was_written",
            "pcie-c-driver::suspend_while_writing",
            "pcie-c-driver::file_system_is_clean",
        ],
    ),
    (
        Feature {
            id: "arm_32_bits",
            part: Part::Generations,
            says: "On 32-bit Arm with an IPMMU of Gen2: DMA, a fault, and DMA after a suspend.",
            c: C::Works,
        },
        &[
            "arm::dma_is_translated",
            "arm::unmapped_access_faults",
            "arm::dma_before_and_after_suspend",
        ],
        &[
            "arm-c::dma_is_translated",
            "arm-c::unmapped_access_faults",
            "arm-c::dma_before_and_after_suspend",
        ],
    ),
    (
        Feature {
            id: "user_space_mappings",
            part: Part::Clients,
            says: "A device of user space reaches what is mapped for it, while it is mapped, and no more.",
            c: C::NotApplicable("no device is handed out"),
        },
        &[
            "vfio::unmapped_memory_is_out_of_reach",
            "vfio::each_page_until_it_is_unmapped",
            "vfio::read_only_memory_is_not_written",
            "vfio::blocks_and_pages_in_turn",
            "vfio::detached_it_reaches_nothing",
            "vfio::killed_in_the_middle",
            "vfio::a_storm_of_faults",
        ],
        &[],
    ),
    (
        Feature {
            id: "user_space_domains",
            part: Part::Clients,
            says: "The device moves between 32 domains, more than there are contexts.",
            c: C::NotApplicable("no device is handed out"),
        },
        &[
            "vfio::one_address_space_after_the_other",
            "vfio::more_domains_than_contexts",
            "vfio::mapped_before_it_is_attached",
            "vfio::changed_while_it_is_not_attached",
            "vfio::what_is_in_use_is_not_destroyed",
            "vfio::closed_in_any_order",
        ],
        &[],
    ),
    (
        Feature {
            id: "vfio_selftests",
            part: Part::Clients,
            says: "The kernel's own tests of VFIO run, with iommufd and with containers.",
            c: C::NotApplicable("no device is handed out"),
        },
        &[
            "vfio::vfio_iommufd_setup_test",
            "vfio::vfio_dma_mapping_test",
            "vfio::vfio_pci_device_test",
        ],
        &[],
    ),
    (
        Feature {
            id: "user_space_needs_coherent_dma",
            part: Part::Clients,
            says: "A device whose DMA does not see the CPU's caches is not handed out.",
            c: C::NotApplicable("no device is handed out"),
        },
        &["vfio-not-coherent::the_device_is_not_handed_out"],
        &[],
    ),
    (
        Feature {
            id: "suspend_with_channels",
            part: Part::Sleep,
            says: "After a suspend all registers are what they were, and DMA goes on.",
            c: C::Works,
        },
        &["sleep::suspend_with_channels"],
        &["c-driver::dma_before_and_after_suspend"],
    ),
    (
        Feature {
            id: "user_space_sleeps",
            part: Part::Sleep,
            says: "After a suspend a device in user space reaches what it did, and no more.",
            c: C::NotApplicable("no device is handed out"),
        },
        &["vfio::the_system_sleeps_meanwhile"],
        &[],
    ),
    (
        Feature {
            id: "lost_registers_are_named",
            part: Part::Sleep,
            says: "A register that does not come back after a suspend is named.",
            c: C::NotApplicable("it reads nothing back"),
        },
        &["lost-table::every_register_that_is_lost_is_named"],
        &[],
    ),
];

/// Enters all features.
pub fn enter(ledger: &Ledger) {
    for (feature, rust, c) in ENTRIES {
        ledger.enter(*feature, rust, c);
    }
}
