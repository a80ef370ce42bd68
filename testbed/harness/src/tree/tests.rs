// SPDX-License-Identifier: GPL-2.0

use std::fs;
use std::path::PathBuf;

use super::*;

/// The parts of the `kernel` crate that edits for the abstractions refer to.
const CRATE: [(&str, &str); 10] = [
    (
        "rust/bindings/bindings_helper.h",
        "#include <linux/ioport.h>\n#include <linux/poll.h>\n\n\
         const xa_mark_t RUST_CONST_HELPER_XA_PRESENT = XA_PRESENT;\n\n\
         #if defined(CONFIG_DRM_PANIC_SCREEN_QR_CODE)\n",
    ),
    (
        "rust/helpers/dma.c",
        "#include <linux/dma-mapping.h>\n\n\
         __rust_helper size_t rust_helper_dma_max_mapping_size(struct device *dev)\n",
    ),
    ("rust/helpers/helpers.c", "#include \"poll.c\"\n"),
    ("rust/kernel/device.rs", "pub mod property;\n"),
    ("rust/kernel/iommu/mod.rs", "\npub mod pgtable;\n"),
    (
        "rust/kernel/irq.rs",
        "mod flags;\n\n/// IRQ allocation and handling.\nmod request;\n",
    ),
    ("rust/kernel/lib.rs", "pub mod safety;\npub mod soc;\n"),
    (
        "rust/kernel/module_param.rs",
        "use kernel::sync::SetOnce;\n\n/// A\n",
    ),
    (
        "rust/kernel/platform.rs",
        "/// An adapter for the registration of platform drivers.\n",
    ),
    ("rust/kernel/sync.rs", "mod locked_by;\npub mod poll;\n"),
];

/// Creates the parts of a kernel's source that the driver's edits refer to.
fn kernel(top: &Path, patchlevel: u32) -> Tree {
    let tree = Tree {
        top: top.to_owned(),
    };
    for (file, text) in [
        (
            "Makefile",
            format!("VERSION = 7\nPATCHLEVEL = {patchlevel}\n"),
        ),
        (
            "MAINTAINERS",
            "IOMMU SUBSYSTEM\nS:\tMaintained\n\nIPS SCSI RAID DRIVER\n".into(),
        ),
        (
            "Documentation/driver-api/index.rst",
            "   ipmi\n   libata\n".into(),
        ),
        (
            "drivers/iommu/Kconfig",
            "config IPMMU_VMSA\n\nconfig SPAPR_TCE_IOMMU\n".into(),
        ),
        (
            "drivers/iommu/Makefile",
            "obj-$(CONFIG_IPMMU_VMSA) += ipmmu-vmsa.o\n".into(),
        ),
    ] {
        tree.write(file, &text).unwrap();
    }
    for (file, text) in CRATE {
        tree.write(file, text).unwrap();
    }
    tree
}

/// Returns the paths in a tree, with the contents of files.
fn all(top: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    walkdir::WalkDir::new(top)
        .sort_by_file_name()
        .into_iter()
        .map(|e| e.unwrap().into_path())
        .map(|p| (p.clone(), fs::read(&p).unwrap_or_default()))
        .collect()
}

fn repo() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn author() -> Author {
    Author::parse("A. Name <name@example.org> 1 +0000").unwrap()
}

#[test]
fn what_is_installed_comes_out_without_a_trace() {
    let dir = tempfile::tempdir().unwrap();
    let tree = kernel(dir.path(), 3);
    fs::create_dir_all(dir.path().join("Documentation/ABI/testing")).unwrap();
    let before = all(dir.path());

    tree.install(&repo(), &author()).unwrap();
    let installed = all(dir.path());
    assert!(tree.has_driver());
    let maintainers = tree.read("MAINTAINERS").unwrap();
    assert!(maintainers.contains("M:\tA. Name <name@example.org>\n"));
    assert!(maintainers.contains("F:\tdrivers/iommu/ipmmu-vmsa-rust/\n"));

    // A second installation removes the results of a build.
    tree.write(&format!("{HOME}/ipmmu_vmsa.o"), "object")
        .unwrap();
    tree.install(&repo(), &author()).unwrap();
    assert!(all(dir.path()) == installed);

    // Removal does not depend on the author in MAINTAINERS.
    tree.uninstall().unwrap();
    assert!(all(dir.path()) == before);
    assert!(!tree.has_driver());
}

#[test]
fn half_of_the_driver_is_taken_out_as_well() {
    let dir = tempfile::tempdir().unwrap();
    let tree = kernel(dir.path(), 3);
    let before = all(dir.path());
    let without = |path: &str| {
        tree.install(&repo(), &author()).unwrap();
        fs::remove_dir_all(dir.path().join(path)).unwrap();
        assert!(tree.has_driver());
        tree.uninstall().unwrap();
        fs::remove_dir_all(dir.path().join("Documentation/ABI")).unwrap();
        assert!(all(dir.path()) == before);
    };
    // `git clean` leaves the references to the driver's files.
    without(HOME);
    // An interrupted installation leaves some of the files.
    without("rust/kernel/iommu/driver");
}

#[test]
fn pages_of_the_checkout_stay_there() {
    let dir = tempfile::tempdir().unwrap();
    let first = write_documentation(&repo(), dir.path()).unwrap();
    let pages = all(&dir.path().join(DOCUMENTS));
    let has = |name: &str| pages.iter().any(|(path, _)| path.ends_with(name));
    assert_eq!(first, "driver-api/ipmmu-vmsa/index");
    assert!(has("index.rst") && has("suspend.rst") && has("suspend-order.svg"));
    let index = fs::read_to_string(dir.path().join(DOCUMENTS).join("index.rst")).unwrap();
    assert!(index.contains("   suspend\n"));
    for page in payload::NOT_FOR_THE_TREE {
        assert!(!has(&format!("{page}.rst")));
        assert!(!index.contains(&format!("   {page}\n")));
    }
}

#[test]
fn patches_are_one_for_each_text() {
    let dir = tempfile::tempdir().unwrap();
    let tree = kernel(&dir.path().join("tree"), 3);
    let out = dir.path().join("patches");
    let patches = emit(&repo(), &tree, &author(), &out).unwrap();
    let texts = fs::read_dir(repo().join("packaging/series")).unwrap();
    assert_eq!(patches.len(), texts.count());
    let texts: Vec<String> = patches
        .iter()
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let first = |words: &str| texts.iter().position(|text| text.contains(words));
    // The last patch adds the Kconfig option, so that the driver is never built in part.
    assert_eq!(first("+config IPMMU"), Some(patches.len() - 1));
    // The patch of an abstraction also declares its module, and precedes the driver.
    let driver = first(&format!("+++ b/{HOME}/"));
    for file in edits::in_crate().filter(|path| path.ends_with(".rs")) {
        let module = Path::new(file).file_stem().unwrap().to_string_lossy();
        let added = first(&format!("+++ b/{file}\n"));
        assert!(added.is_some() && added < driver, "{file}");
        assert_eq!(added, first(&format!("+pub mod {module};\n")), "{file}");
    }
}

#[test]
fn abstractions_are_files_of_the_kernel_crate() {
    let text = "//! `kernel::irq`\n\nuse kernel::bindings;\n\n\
                use crate::abstractions::sync;\n\n\
                pub(crate) fn f(g: &crate::abstractions::irq::Line) {}\n\
                pub(super) fn h() { $crate::abstractions::g!(::kernel::str) }\n";
    assert_eq!(
        kernel_crate::abstraction(text),
        "//! `kernel::irq`\n\nuse crate::bindings;\n\nuse crate::sync;\n\n\
         pub fn f(g: &crate::irq::Line) {}\n\
         pub(super) fn h() { $crate::g!(::kernel::str) }\n"
    );
    let there = |name: &str| kernel_crate::path(name);
    assert_eq!(
        there("abstractions/irq/managed.rs").as_deref(),
        Some("rust/kernel/irq/managed.rs")
    );
    for own in ["abstractions/mod.rs", "abstractions/bindings.rs", "irq.rs"] {
        assert_eq!(there(own), None);
    }
}

#[test]
fn the_driver_uses_the_kernel_crate() {
    let text = "//! [`fault`].\n//!\n//! Safe Rust over the kernel's C is in [`abstractions`].\n\n\
                use crate::abstractions::{\n    irq,\n};\n\nmod abstractions;\nmod context;\n\n\
                crate::abstractions::string_param!();\n";
    assert_eq!(
        kernel_crate::driver(text),
        "//! [`fault`].\n\nuse kernel::{\n    irq,\n};\n\nmod context;\n\nkernel::string_param!();\n"
    );
    let names_them = |(_, text): (&str, &str)| text.contains("abstractions::");
    assert!(!Payload::collect(&repo()).unwrap().files().any(names_them));
}

#[test]
fn an_unknown_place_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let tree = kernel(dir.path(), 3);
    tree.write("drivers/iommu/Makefile", "obj-y += other.o\n")
        .unwrap();
    let before = all(dir.path());
    let e = tree.install(&repo(), &author()).unwrap_err();
    assert!(format!("{e:#}").starts_with("drivers/iommu/Makefile has no line"));
    assert!(all(dir.path()) == before);
}

#[test]
fn hard_links_are_not_written_through() {
    let dir = tempfile::tempdir().unwrap();
    let tree = kernel(&dir.path().join("tree"), 3);
    let (file, other) = (
        tree.top.join("drivers/iommu/Kconfig"),
        dir.path().join("other"),
    );
    fs::hard_link(&file, &other).unwrap();
    tree.install(&repo(), &author()).unwrap();
    assert_ne!(fs::read(file).unwrap(), fs::read(other).unwrap());
}

#[test]
fn only_the_right_release_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |top: &Path| format!("{:#}", Tree::open(top).err().unwrap());
    assert!(refused(&dir.path().join("none")).ends_with("No such file or directory (os error 2)"));
    assert!(refused(dir.path()).ends_with("is not a kernel source tree"));
    kernel(dir.path(), 2);
    assert!(refused(dir.path()).ends_with("is Linux 7.2"));
    kernel(dir.path(), 3);
    assert!(Tree::open(dir.path()).is_ok());
}
