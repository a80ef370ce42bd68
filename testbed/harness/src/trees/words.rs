// SPDX-License-Identifier: GPL-2.0
//! The properties that are mutated, and the values that are put into them.

pub const MAIN: &str = "renesas,ipmmu-main";
pub const PHANDLE: &str = "phandle";
pub const CELLS: &str = "#iommu-cells";

/// The properties of an IPMMU.
pub const OF_IPMMU: [&str; 8] = [
    "compatible",
    "reg",
    "interrupts",
    "power-domains",
    MAIN,
    CELLS,
    PHANDLE,
    "status",
];
/// The properties of a client.
pub const OF_CLIENT: [&str; 1] = ["iommus"];
/// The properties of a PCIe host.
pub const OF_HOST: [&str; 2] = ["iommu-map", "iommu-map-mask"];

/// The driver's compatible strings, of each generation.
pub const OURS: [&str; 4] = [
    "renesas,ipmmu-r8a7795",
    "renesas,ipmmu-r8a7796",
    "renesas,ipmmu-vmsa",
    "renesas,rcar-gen4-ipmmu-vmsa",
];

const COMPATIBLE: [&[u8]; 8] = [
    b"renesas,ipmmu-r8a7796\0",
    b"renesas,ipmmu-vmsa\0",
    b"renesas,rcar-gen4-ipmmu-vmsa\0",
    b"renesas,ipmmu-r8a7795\0renesas,ipmmu-vmsa\0",
    b"renesas,ipmmu-vmsa\0renesas,ipmmu-r8a7795\0",
    b"renesas,no-ipmmu\0renesas,ipmmu-r8a7795\0",
    b"renesas,no-ipmmu\0",
    b"\0\0renesas,ipmmu-r8a7795\0",
];
const STATUS: [&[u8]; 6] = [
    b"disabled\0",
    b"fail\0",
    b"okay\0",
    b"ok\0",
    b"okay \0",
    b"\0",
];

const TLBS: [u32; 13] = [
    0,
    1,
    15,
    31,
    32,
    47,
    48,
    63,
    64,
    255,
    256,
    0x7fff_ffff,
    0xffff_ffff,
];
const RANGES: [u32; 9] = [0, 1, 2, 47, 48, 0x100, 0xffff, 0x1_0000, 0xffff_ffff];
const AREAS: [u32; 6] = [0, 14, 31, 63, 64, 0xffff_ffff];
const COUNTS: [u32; 9] = [0, 2, 3, 15, 16, 17, 255, 0x7fff_ffff, 0xffff_ffff];
/// Phandles that no node has.
const PHANDLES: [u32; 3] = [0, 0xdead, 0xffff_ffff];
const OF_INTERRUPT: [&[u32]; 3] = [
    &[1, 2, 16, 0xffff_ffff],
    &[500, 987, 988, 1019, 0x7fff_ffff, 0xffff_ffff],
    &[0, 1, 2, 8, 15, 0xffff_ffff],
];
/// The upper half of an address stays: elsewhere nothing is there, and an access stops the board.
const OF_REG: [&[u32]; 4] = [
    &[0],
    &[1, 2, 4],
    &[1, 0xffff_ffff],
    &[0, 1, 4, 0x100, 0x6f8, 0x6fb, 0x6fc, 0x2000],
];

/// Returns the texts for a property that has a text.
pub fn words_for(property: &str) -> Option<&'static [&'static [u8]]> {
    match property {
        "compatible" => Some(&COMPATIBLE),
        "status" => Some(&STATUS),
        _ => None,
    }
}

/// Returns the numbers for a cell of a property that has cells.
pub fn numbers_for(property: &str, at: usize) -> Option<&'static [u32]> {
    Some(match property {
        "iommus" => &TLBS,
        "iommu-map" | "iommu-map-mask" => &RANGES,
        "power-domains" => &AREAS,
        MAIN => &TLBS,
        CELLS => &COUNTS,
        PHANDLE => &PHANDLES,
        "interrupts" => OF_INTERRUPT[at % OF_INTERRUPT.len()],
        "reg" => OF_REG[at % OF_REG.len()],
        _ => return None,
    })
}

/// Returns the positions of phandles in a property with this number of cells.
pub fn phandles_in(property: &str, cells: usize) -> Option<Vec<usize>> {
    let (first, step) = match property {
        "iommus" => (0, 2),
        "iommu-map" => (1, 4),
        MAIN | "power-domains" => (0, cells),
        _ => return None,
    };
    let places: Vec<usize> = (first..cells).step_by(step.max(1)).collect();
    (!places.is_empty()).then_some(places)
}
